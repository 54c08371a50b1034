/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdb.c - LMDB under the replayer. Its default and its WRITEMAP mode must survive everything; that it may lose or
 * corrupt without sync is documented by its author, and the replayer must see it.
 */
#include <errno.h>
#include <lmdb.h>
#include <string.h>

#include "crash/peer.h"

enum { MAP_BYTES = 1 << 20 };

struct db {
	MDB_env *env;
	MDB_dbi dbi;
};

static int db_open(struct db *db, const char *dir, unsigned int flags)
{
	MDB_txn *txn;
	int r = mdb_env_create(&db->env);

	if (r == 0)
		r = mdb_env_set_mapsize(db->env, MAP_BYTES);
	if (r == 0)
		r = mdb_env_open(db->env, dir, flags | MDB_NOLOCK, 0666);
	if (r == 0)
		r = mdb_txn_begin(db->env, NULL, 0, &txn);
	if (r == 0) {
		r = mdb_dbi_open(txn, NULL, MDB_CREATE, &db->dbi);
		if (r == 0)
			r = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	if (r)
		mdb_env_close(db->env);
	return r;
}

static int put(MDB_txn *txn, MDB_dbi dbi, const char *name, const void *data, size_t bytes)
{
	MDB_val k = { strlen(name) + 1, (void *)(uintptr_t)name }, v = { bytes, (void *)(uintptr_t)data };

	return mdb_put(txn, dbi, &k, &v, 0);
}

static void key_name(char name[8], unsigned int key)
{
	memcpy(name, "key-000", 8);
	name[5] = (char)('0' + key / 10);
	name[6] = (char)('0' + key % 10);
}

static int commit(const struct db *db, uint64_t n)
{
	uint8_t value[PEER_VALUE];
	char name[8];
	MDB_txn *txn;
	int r = mdb_txn_begin(db->env, NULL, 0, &txn);

	if (r)
		return r;
	r = put(txn, db->dbi, "commit", &n, sizeof(n));
	for (unsigned int i = 0; i < PEER_PUTS && r == 0; i++) {
		key_name(name, peer_key(n, i));
		peer_value(peer_key(n, i), n, value);
		r = put(txn, db->dbi, name, value, sizeof(value));
	}
	if (r == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return r;
}

static int run(void *arg, const char *dir)
{
	const struct peer_mode *mode = arg;
	struct db db;
	int r = db_open(&db, dir, (unsigned int)mode->flags);

	if (r)
		return -EIO;
	for (uint64_t n = 1; n <= PEER_COMMITS && r == 0; n++) {
		crash_begun(n);
		r = commit(&db, n);
		if (r == 0)
			crash_acked(n);
	}
	mdb_env_close(db.env);
	return r ? -EIO : 0;
}

static int get(MDB_txn *txn, MDB_dbi dbi, const char *name, MDB_val *v)
{
	MDB_val k = { strlen(name) + 1, (void *)(uintptr_t)name };

	return mdb_get(txn, dbi, &k, v);
}

static int check_content(MDB_txn *txn, MDB_dbi dbi, uint64_t n)
{
	uint8_t value[PEER_VALUE];
	char name[8];
	MDB_val v;

	for (unsigned int key = 0; key < PEER_KEYS; key++) {
		uint64_t last = peer_last(key, n);
		int r;

		key_name(name, key);
		r = get(txn, dbi, name, &v);
		peer_value(key, last, value);
		if (last ? r != 0 || v.mv_size != PEER_VALUE || memcmp(v.mv_data, value, PEER_VALUE) != 0
			 : r != MDB_NOTFOUND) {
			crash_explain("commit %llu: %s is wrong (%s)", (unsigned long long)n, name,
				mdb_strerror(r));
			return PEER_CONTENT;
		}
	}
	return 0;
}

static int check_txn(const struct db *db, const struct crash_history *h, uint64_t *n)
{
	MDB_txn *txn;
	MDB_val v;
	int broken;

	*n = 0;
	if (mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0)
		return PEER_OPENS;
	if (get(txn, db->dbi, "commit", &v) == 0 && v.mv_size == sizeof(*n))
		memcpy(n, v.mv_data, sizeof(*n));
	crash_explain("commit %llu is there; acknowledged %llu", (unsigned long long)*n,
		(unsigned long long)h->acked);
	broken = *n < h->acked ? PEER_ACKED : *n > h->begun ? PEER_UNBEGUN : check_content(txn, db->dbi, *n);
	mdb_txn_abort(txn);
	return broken;
}

static int check(void *arg, const char *dir, const struct crash_history *h)
{
	const struct peer_mode *mode = arg;
	uint64_t n;
	struct db db;
	/* What is checked is what the run left; how it is opened now is another matter, and this is the strictest. */
	int r = db_open(&db, dir, (unsigned int)mode->flags & MDB_WRITEMAP), broken;

	if (r) {
		crash_explain("open says %s", mdb_strerror(r));
		/* A file whose creation was cut short never opens again: LMDB writes it in place. We count from the first commit. */
		return h->acked ? PEER_OPENS : 0;
	}
	broken = check_txn(&db, h, &n);
	if (broken == 0 && commit(&db, n + 1) != 0)
		broken = PEER_GOES_ON;
	mdb_env_close(db.env);
	return broken;
}

int main(void)
{
	static const struct peer_mode modes[] = {
		{ "default", PEER_KEEPS, 0 },
		{ "WRITEMAP", PEER_KEEPS, MDB_WRITEMAP },
		{ "NOSYNC", PEER_CORRUPTS, MDB_NOSYNC },
		{ "NOMETASYNC", PEER_LOSES, MDB_NOMETASYNC },
		{ "WRITEMAP|MAPASYNC", PEER_CORRUPTS, MDB_WRITEMAP | MDB_MAPASYNC },
	};

	return peer_main("LMDB", modes, sizeof(modes) / sizeof(modes[0]), run, check);
}
