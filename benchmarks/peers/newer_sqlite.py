"""Newer SQLite: DBOS 3.4 needs 3.42 for its clock; where Python brings an older one, that of a wheel is used.

Import it before anything that imports sqlite3.
"""

import sqlite3
import sys

if sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2
