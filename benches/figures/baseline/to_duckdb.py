"""A feed into a DuckDB database: python to_duckdb.py FEED DATABASE ENTRIES kept|dropped

What a careful person writes: types given, so that nothing is guessed; one statement. `kept`: with every entry whole, as text;
`dropped`: only the five keys that everybody asks for.
"""

import sys

import duckdb

feed, database, entries, bodies = sys.argv[1:]

# Times as they come: DuckDB's own conversion would cost it more, and ours are kept as given as well.
KEPT = """
    CREATE TABLE events AS
    SELECT json->>'$.event' AS event, json->>'$.id' AS id, json->>'$.email' AS email,
           json->>'$.businessUnit' AS business_unit, json->>'$.timestamp' AS timestamp, json AS body
    FROM read_json_objects(?, format = 'array')
"""
DROPPED = """
    CREATE TABLE events AS
    SELECT event, id, email, "businessUnit" AS business_unit, timestamp
    FROM read_json(?, format = 'array', columns = {
        event: 'VARCHAR', id: 'VARCHAR', email: 'VARCHAR', "businessUnit": 'VARCHAR', timestamp: 'VARCHAR'})
"""

with duckdb.connect(database) as connection:
    connection.execute(KEPT if bodies == "kept" else DROPPED, [feed])
    (found,) = connection.execute("SELECT count(*) FROM events").fetchone()

if found != int(entries):
    sys.exit(f"{found} of {entries} entries")
