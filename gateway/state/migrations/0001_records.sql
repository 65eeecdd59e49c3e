-- One row per record of every table, and the fence that the last claim took.
CREATE TABLE records (
    tab     TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    value   BLOB    NOT NULL,
    version INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    "order" REAL    NOT NULL,
    due     REAL    NOT NULL,
    expires REAL    NOT NULL,
    fence   INTEGER NOT NULL DEFAULT 0,
    held    REAL    NOT NULL DEFAULT 0,
    UNIQUE (tab, key)
) STRICT;

CREATE INDEX records_listed ON records (tab, owner, "order", key) WHERE owner <> '';
CREATE INDEX records_due ON records (tab, max(due, held), key) WHERE due > 0;
CREATE INDEX records_expiring ON records (expires) WHERE expires > 0;

CREATE TABLE fences (last INTEGER NOT NULL) STRICT;
INSERT INTO fences (last) VALUES (0);
