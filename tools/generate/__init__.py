"""`make generate` writes everything that follows from the SQL functions and the schema.

A freshly migrated database describes them: pg_proc has parameters and results, the COMMENT the meaning, the
folder of the file the family. A new function needs no line here; catalog.py holds in tables what pg_proc
cannot say. No generated file is edited by hand.

    catalog.py  the functions, read from the database
    comments.py   the grammar of COMMENTs
    python.py     kata_context/generated/: rows, statements, methods, the twins without async
    sync.py       an asynchronous module without async
    schema.py     docs/schema.md: tables and types, from their COMMENTs and the comments that open migrations
    docs.py       docs/sql.md, the table of docs/errors.md, the digests of docs/compaction.md
    templates/    the texts, in Jinja2
"""
