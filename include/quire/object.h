/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quire/object.h - where the bytes of a paged mapping come from and go to: files, memory, or the program itself; and
 * filters, which are objects with another object behind them.
 */
#ifndef QUIRE_OBJECT_H
#define QUIRE_OBJECT_H

#include <quire/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire_object;

/**
 * struct quire_object_options - bytes that the program supplies
 * @size: sizeof(struct quire_object_options), set by QUIRE_OPTIONS(object, ...)
 * @user: handed to each callback
 * @get: read length bytes at offset into memory; both are multiples of 4096 but for the end. 0 or a negative errno
 * @put: write them; NULL: the object is read-only
 * @sync: make all that was put durable; NULL: a put is durable when it returns
 * @bytes: how long it is, in bytes; asked at each fault. NULL: @length
 * @close: the last mapping and handle are gone; NULL: nothing to do
 * @length: in bytes, when @bytes is NULL
 * @signal_safe: 1: get, put and bytes may run in a signal handler (QUIRE_DELIVERY_INLINE)
 *
 * Callbacks run on any thread, several at once, and must not touch paged memory.
 *
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_open(3)
 */
struct quire_object_options {
	size_t size;
	void *user;
	int (*get)(void *user, uint64_t offset, void *memory, size_t length);
	int (*put)(void *user, uint64_t offset, const void *memory, size_t length);
	int (*sync)(void *user);
	int (*bytes)(void *user, uint64_t *bytes);
	void (*close)(void *user);
	uint64_t length;
	uint32_t signal_safe;
	uint32_t reserved;
};

/**
 * quire_object_open - an object whose bytes the program supplies
 * @options: get at least
 * @object: out: for .object of a mapping; given back with quire_object_close()
 *
 * Threads: any. Blocks: no. Memory: less than 1 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no get
 *   -E2BIG   the options struct is newer than this library
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_file(3), quire_object_checksum(3)
 */
QUIRE_API int quire_object_open(const struct quire_object_options *options, struct quire_object **object);

/**
 * quire_object_file - a file as an object
 * @path: of the file
 * @writable: 1: stores of shared mappings go to the file
 * @object: out: the object
 *
 * Threads: any. Blocks: opens the file. Memory: less than 1 KiB. Signals: none.
 * Returns: 0, or
 *   -ENOENT  no such file
 *   -EACCES  no permission
 *   -ENODEV  a directory, pipe or socket
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_object_open(3)
 */
QUIRE_API int quire_object_file(const char *path, int writable, struct quire_object **object);

/**
 * quire_object_checksum - verify every page that is read
 * @next: the object behind; belongs to the filter afterwards
 * @path: where checksums are kept between runs; NULL: learned in this run at the first read of each page
 * @object: out: the filter
 *
 * XXH3 with 64 bits for each page of 4096 bytes. A page that comes back changed is an error for who touches it, not data.
 *
 * Threads: any. Blocks: reads the file of checksums. Memory: 8 bytes a page of the object. Signals: none.
 * Returns: 0, or
 *   -EINVAL   no object
 *   -EBADMSG  the file at path holds no checksums
 *   -ENOMEM   no memory
 *   -EACCES   the file at path cannot be opened
 * Since: 0.1   Example: examples/bounded-cache.c   See: quire_object_fail(3)
 */
QUIRE_API int quire_object_checksum(
	struct quire_object *next, const char *path, struct quire_object **object);

/**
 * quire_object_delay - make each transfer take longer
 * @next: the object behind; belongs to the filter afterwards
 * @get_ns: added to each read, in nanoseconds
 * @put_ns: added to each write, in nanoseconds
 * @object: out: the filter
 *
 * Threads: any. Blocks: no. Memory: less than 1 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no object
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_fail(3)
 */
QUIRE_API int quire_object_delay(
	struct quire_object *next, uint64_t get_ns, uint64_t put_ns, struct quire_object **object);

/**
 * quire_object_fail - make transfers fail, on order
 * @next: the object behind; belongs to the filter afterwards
 * @gets: 1: reads are counted
 * @puts: 1: writes are counted
 * @nth: the first of those counted that fails, from 1
 * @times: how many in a row fail
 * @error: what they fail with, a negative errno
 * @object: out: the filter
 *
 * Threads: any. Blocks: no. Memory: less than 1 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no object, nth 0, or error not negative
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_checksum(3)
 */
QUIRE_API int quire_object_fail(struct quire_object *next, int gets, int puts, uint64_t nth, uint64_t times,
	int error, struct quire_object **object);

/**
 * quire_object_log - be told of each transfer
 * @next: the object behind; belongs to the filter afterwards
 * @log: called after each: put is 1 for a write; first and count are in pages of 4096 bytes
 * @user: handed to log
 * @object: out: the filter
 *
 * Threads: any; log is called on any thread. Blocks: no. Memory: less than 1 KiB. Signals: none.
 * Returns: 0, or
 *   -EINVAL  no object or no log
 *   -ENOMEM  no memory
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_fail(3)
 */
QUIRE_API int quire_object_log(struct quire_object *next,
	void (*log)(void *user, int put, uint64_t first, uint32_t count, int error), void *user,
	struct quire_object **object);

/**
 * quire_object_close - give an object back
 * @object: the object, or NULL; mappings of it go on
 *
 * In a child of fork() an object whose pages are in a pool of the parent stays as it is: only the parent can write it back.
 *
 * Threads: any. Blocks: when it was the last use: closes what is behind it. Memory: freed. Signals: none.
 * Since: 0.1   Example: examples/custom-object.c   See: quire_object_open(3)
 */
QUIRE_API void quire_object_close(struct quire_object *object);

#ifdef __cplusplus
}
#endif

#endif
