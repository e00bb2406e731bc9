"""An archive into SQLite by dlt: python to_sqlite_by_dlt.py ARCHIVE DATABASE arrow|objects

Its `sqlalchemy` destination, fed by Parquet files over ADBC: of its ways into SQLite the fastest. `arrow`: dlt is handed finished
columns, the five keys that everybody asks for and the entry as text, which it passes on without looking into a row; DuckDB reads
the feed, since nothing in Python does so faster. `objects`: dlt is handed the entries, and makes columns of them itself.
"""

import sys
import tempfile
import zipfile

import dlt
import duckdb
import orjson

archive, database, rows = sys.argv[1:]

QUESTION = """
    SELECT json->>'$.event' AS event, json->>'$.id' AS id, json->>'$.email' AS email,
           json->>'$.businessUnit' AS business_unit, json->>'$.timestamp' AS timestamp, json::VARCHAR AS body
    FROM read_json_objects(?, format = 'array')
"""


@dlt.resource(name="events", write_disposition="append", max_table_nesting=0)
def events():
    with zipfile.ZipFile(archive) as packed:
        member = packed.namelist()[0]
        if rows == "objects":
            yield orjson.loads(packed.read(member))
            return
        with tempfile.TemporaryDirectory() as directory:
            feed = packed.extract(member, directory)
            yield duckdb.connect().execute(QUESTION, [feed]).to_arrow_table()


pipeline = dlt.pipeline(
    pipeline_name="feed",
    destination=dlt.destinations.sqlalchemy(f"sqlite:///{database}"),
    dataset_name="main",
    pipelines_dir=f"{database}.pipelines",
)
pipeline.run(events(), loader_file_format="parquet").raise_on_failed_jobs()
