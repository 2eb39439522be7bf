from shop_harness.system import Ports, System


def test_variables_that_are_given_win_over_what_a_services_table_says() -> None:
    given = {"ORDERS_RATE_LIMIT_PER_MINUTE": "7", "ORDERS_HTTP_PORT": "1", "PATH": "/bin"}
    plain, system = System(Ports.usual(), print), System(Ports.usual(), print, given=given)

    assert plain.own_environment("orders")["ORDERS_RATE_LIMIT_PER_MINUTE"] == "0"
    assert system.own_environment("orders") == plain.own_environment("orders") | {"ORDERS_RATE_LIMIT_PER_MINUTE": "7"}
