"""The SQLite tables of a study in which people rate."""

TABLES = """
CREATE TABLE IF NOT EXISTS experiment (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS clips (
    name TEXT PRIMARY KEY, listed INTEGER NOT NULL, file TEXT, kind TEXT NOT NULL, grouping TEXT NOT NULL,
    prompt TEXT NOT NULL, system TEXT NOT NULL, training INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, reason TEXT);
CREATE TABLE IF NOT EXISTS people (token TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS asked (
    person TEXT NOT NULL, place INTEGER NOT NULL, question TEXT NOT NULL, clips TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (person, place), UNIQUE (person, question));
CREATE TABLE IF NOT EXISTS answers (
    person TEXT NOT NULL, question TEXT NOT NULL, training INTEGER NOT NULL, answer TEXT NOT NULL, seconds REAL,
    day TEXT NOT NULL, at REAL NOT NULL, changed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (person, question));
"""
CLIP_COLUMNS = "name, file, kind, grouping, prompt, system, training, width, height, reason"
