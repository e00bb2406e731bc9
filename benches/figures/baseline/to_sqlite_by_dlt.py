"""An archive into SQLite by dlt: python to_sqlite_by_dlt.py ARCHIVE DATABASE arrow|objects

Its `sqlalchemy` destination, fed by Parquet files over ADBC: of its ways into SQLite the fastest. `arrow`: dlt is handed finished
columns, the five keys that everybody asks for and the entry as text, which it passes on without looking into a row. (With DuckDB
making these columns the whole takes as long.) `objects`: dlt is handed the entries, and makes columns of them itself.
"""

import sys
import zipfile

import dlt
import orjson
import pyarrow

archive, database, rows = sys.argv[1:]

KEYS = ["event", "id", "email", "businessUnit", "timestamp"]


@dlt.resource(name="events", write_disposition="append", max_table_nesting=0)
def events():
    with zipfile.ZipFile(archive) as packed:
        entries = orjson.loads(packed.read(packed.namelist()[0]))
    if rows == "objects":
        yield entries
        return
    columns = {key: pyarrow.array([entry.get(key) for entry in entries], pyarrow.string()) for key in KEYS}
    columns["body"] = pyarrow.array([orjson.dumps(entry).decode() for entry in entries], pyarrow.string())
    yield pyarrow.table(columns)


pipeline = dlt.pipeline(
    pipeline_name="feed",
    destination=dlt.destinations.sqlalchemy(f"sqlite:///{database}"),
    dataset_name="main",
    pipelines_dir=f"{database}.pipelines",
)
pipeline.run(events(), loader_file_format="parquet").raise_on_failed_jobs()
