from shop_harness.system import Ports, System


def test_a_persons_own_variables_win_over_what_a_services_table_says() -> None:
    given = {"ORDERS_RATE_LIMIT_PER_MINUTE": "0", "ORDERS_HTTP_PORT": "1", "PATH": "/bin"}
    system = System(Ports.usual(), print, rate_limit_per_minute=10, given=given)
    plain = System(Ports.usual(), print, rate_limit_per_minute=10)

    assert system.own_environment("orders")["ORDERS_RATE_LIMIT_PER_MINUTE"] == "0"
    assert system.own_environment("orders").keys() == plain.own_environment("orders").keys()
    assert plain.own_environment("orders")["ORDERS_RATE_LIMIT_PER_MINUTE"] == "10"
