/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c - SQLite under the replayer. A write-ahead log with synchronous=FULL and a rollback journal with EXTRA must
 * survive everything; that less may lose commits, or more, is documented by its authors, and the replayer must see it.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "crash/peer.h"

enum { WAL = 1, SYNC_OFF = 2, SYNC_NORMAL = 4, SYNC_EXTRA = 8 };

static int sql(sqlite3 *db, const char *text)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL);
}

static const char *synchronous(int flags)
{
	if (flags & SYNC_OFF)
		return "PRAGMA synchronous=OFF";
	if (flags & SYNC_NORMAL)
		return "PRAGMA synchronous=NORMAL";
	return flags & SYNC_EXTRA ? "PRAGMA synchronous=EXTRA" : "PRAGMA synchronous=FULL";
}

static sqlite3 *db_open(const char *dir, int flags)
{
	char path[300];
	sqlite3 *db = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "%s/peer.db", dir);
	r = sqlite3_open(path, &db);
	if (r == SQLITE_OK)
		r = sql(db, "PRAGMA page_size=4096");
	if (r == SQLITE_OK)
		r = sql(db, synchronous(flags));
	if (r == SQLITE_OK)
		r = sql(db, flags & WAL ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE");
	if (r == SQLITE_OK)
		r = sql(db, "PRAGMA wal_autocheckpoint=24");
	if (r == SQLITE_OK)
		r = sql(db, "CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB)");
	if (r == SQLITE_OK)
		return db;
	crash_explain("open says %s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
	return NULL;
}

static int put(sqlite3 *db, int64_t key, const void *data, int bytes)
{
	sqlite3_stmt *s;
	int r = sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO t VALUES(?,?)", -1, &s, NULL);

	if (r != SQLITE_OK)
		return r;
	(void)sqlite3_bind_int64(s, 1, key);
	(void)sqlite3_bind_blob(s, 2, data, bytes, SQLITE_STATIC);
	r = sqlite3_step(s);
	(void)sqlite3_finalize(s);
	return r == SQLITE_DONE ? SQLITE_OK : r;
}

static int commit(sqlite3 *db, uint64_t n)
{
	uint8_t value[PEER_VALUE];
	int r = sql(db, "BEGIN");

	if (r == SQLITE_OK)
		r = put(db, 1000, &n, sizeof(n));
	for (unsigned int i = 0; i < PEER_PUTS && r == SQLITE_OK; i++) {
		peer_value(peer_key(n, i), n, value);
		r = put(db, peer_key(n, i), value, PEER_VALUE);
	}
	return r == SQLITE_OK ? sql(db, "COMMIT") : r;
}

static int run(void *arg, const char *dir)
{
	const struct peer_mode *mode = arg;
	sqlite3 *db = db_open(dir, mode->flags);
	int r = SQLITE_OK;

	if (!db)
		return -EIO;
	for (uint64_t n = 1; n <= PEER_COMMITS && r == SQLITE_OK; n++) {
		crash_begun(n);
		r = commit(db, n);
		if (r == SQLITE_OK)
			crash_acked(n);
	}
	(void)sqlite3_close(db);
	return r == SQLITE_OK ? 0 : -EIO;
}

/* Returns the length of the value, -1 when there is none, -2 on an error. */
static int get(sqlite3 *db, int64_t key, uint8_t value[PEER_VALUE])
{
	sqlite3_stmt *s;
	int n = -2, r;

	if (sqlite3_prepare_v2(db, "SELECT v FROM t WHERE k=?", -1, &s, NULL) != SQLITE_OK)
		return n;
	(void)sqlite3_bind_int64(s, 1, key);
	r = sqlite3_step(s);
	if (r == SQLITE_DONE)
		n = -1;
	if (r == SQLITE_ROW) {
		n = sqlite3_column_bytes(s, 0);
		if (n > 0 && n <= PEER_VALUE)
			memcpy(value, sqlite3_column_blob(s, 0), (size_t)n);
	}
	(void)sqlite3_finalize(s);
	return n;
}

static int check_content(sqlite3 *db, uint64_t n)
{
	uint8_t value[PEER_VALUE], expected[PEER_VALUE];

	for (unsigned int key = 0; key < PEER_KEYS; key++) {
		uint64_t last = peer_last(key, n);
		int length = get(db, key, value);

		peer_value(key, last, expected);
		if (last ? length != PEER_VALUE || memcmp(value, expected, PEER_VALUE) != 0 : length != -1) {
			crash_explain("commit %llu: key %u is wrong (%s)", (unsigned long long)n, key,
				sqlite3_errmsg(db));
			return PEER_CONTENT;
		}
	}
	return 0;
}

static int check_db(sqlite3 *db, const struct crash_history *h)
{
	uint8_t value[PEER_VALUE];
	uint64_t n = 0;
	int broken;

	if (get(db, 1000, value) == sizeof(n))
		memcpy(&n, value, sizeof(n));
	crash_explain("commit %llu is there; acknowledged %llu", (unsigned long long)n,
		(unsigned long long)h->acked);
	broken = n < h->acked ? PEER_ACKED : n > h->begun ? PEER_UNBEGUN : check_content(db, n);
	if (broken == 0 && commit(db, n + 1) != SQLITE_OK)
		broken = PEER_GOES_ON;
	return broken;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	const struct peer_mode *mode = arg;
	sqlite3 *db = db_open(dir, mode->flags | SYNC_OFF);
	int broken;

	if (!db)
		return PEER_OPENS;
	broken = check_db(db, h);
	(void)sqlite3_close(db);
	return broken;
}

int main(void)
{
	static const struct peer_mode modes[] = {
		{ "WAL, synchronous=FULL", PEER_KEEPS, WAL },
		{ "rollback journal, synchronous=EXTRA", PEER_KEEPS, SYNC_EXTRA },
		/* FULL does not make the removal of the journal durable: the last commit may be rolled back. */
		{ "rollback journal, synchronous=FULL", PEER_LOSES, 0 },
		{ "WAL, synchronous=NORMAL", PEER_LOSES, WAL | SYNC_NORMAL },
		{ "rollback journal, synchronous=OFF", PEER_CORRUPTS, SYNC_OFF },
	};

	return peer_main("SQLite", modes, sizeof(modes) / sizeof(modes[0]), run, check);
}
