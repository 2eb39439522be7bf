"""Changes that came with a test and mended nothing that a test could see: refactorings, more patience, less work.

With them is what only other versions show than the locked ones; there its tests see it.

A person has read each of these, and says why. What also mended something doesn't belong here, however small it is
beside the rest.
"""

from collections.abc import Mapping

NO_FIXES: Mapping[str, str] = {
    "2f301f9": "a full disk: the last block was halved until nothing went in, and a write takes what there is room for",
    "deef163": "the latest attempts: a list for each name and the order beside them are one list",
    "f598dd8": "an event's id: the version's bits were put between two parts, and are set by a mask",
    "e7c4d69": "a lock: whether it is held already was asked twice",
    "f269bbe": "tests wait longer before they say that nothing came: only a very slow machine shows it",
    "febe42d": "where a batch begins: two copies are one function",
    "0a72d06": "a system starts a process with another Python, for a bench alone",
    "33bcd74": "the suite of settings follows more values: of a test that asks less nothing fails",
    "a310049": "a record of several tasks: two statements are one, which `make price` counts",
    "a576b6c": "what nobody read is gone",
    "752b133": "values in errors of SQLAlchemy 2.0: with 2.0.45, which `make floors` has, a test of today sees it",
    "49981d7": "a batch that isn't compressed and can have no large record is copied without a look, which is faster",
    "72f542d": "what nobody called is gone",
    "9815d9d": "a test's level: it was looked up twice",
    "fd7c7d5": "the records of the console's topics: a default that no caller used is gone",
    "39763c8": "what pacts of both kinds refuse stands in a module of its own",
}
"""The beginnings of commits' names, with what each changed."""
