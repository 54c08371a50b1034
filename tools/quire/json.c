/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Half a document would be worse than none. */
static json_t *must(json_t *value)
{
	if (value == NULL)
		exit((int)fail(STATUS_SYSTEM, "no memory for the JSON document"));
	return value;
}

static void put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, must(value)) != 0)
		must(NULL);
}

json_t *json_document(const char *verb)
{
	json_t *document = must(json_object());
	char schema[64];

	snprintf(schema, sizeof(schema), "quire.%s/1", verb);
	put(document, "schema", json_string(schema));
	return document;
}

void json_put_count(json_t *object, const char *name, uint64_t value)
{
	put(object, name, json_integer((json_int_t)value));
}

void json_put_real(json_t *object, const char *name, double value)
{
	put(object, name, isfinite(value) ? json_real(value) : json_null());
}

void json_put_bool(json_t *object, const char *name, bool value)
{
	put(object, name, json_boolean(value));
}

/* A copy that is UTF-8; *lossy when it is not what was given. */
static char *valid_copy(const char *text, bool *lossy)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *copy = malloc(strlen(text) * 3 + 1);
	size_t used = 0;

	*lossy = false;
	if (copy == NULL)
		must(NULL);
	while (*text != '\0') {
		size_t length = utf8_length(text);
		size_t bytes = length != 0 ? length : 3;

		memcpy(copy + used, length != 0 ? text : replacement, bytes);
		*lossy = *lossy || length == 0;
		used += bytes;
		text += length != 0 ? length : 1;
	}
	copy[used] = '\0';
	return copy;
}

static json_t *text_value(const char *text, bool *lossy)
{
	char *copy = valid_copy(text, lossy);
	json_t *value = json_string(copy);

	free(copy);
	return value;
}

void json_put_text(json_t *object, const char *name, const char *text)
{
	bool lossy;

	put(object, name, text != NULL ? text_value(text, &lossy) : json_null());
}

static void put_hex(json_t *object, const char *name, const char *bytes)
{
	char *hex = malloc(strlen(bytes) * 2 + 1);
	char key[64];

	if (hex == NULL)
		must(NULL);
	for (size_t i = 0; bytes[i] != '\0'; i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)bytes[i]);
	snprintf(key, sizeof(key), "%s_hex", name);
	put(object, key, json_string(hex));
	free(hex);
}

void json_put_name(json_t *object, const char *name, const char *path)
{
	bool lossy;

	put(object, name, text_value(path, &lossy));
	if (lossy)
		put_hex(object, name, path);
}

void json_put_unknown(json_t *object, const char *name, const char *why)
{
	char key[64];

	put(object, name, json_null());
	snprintf(key, sizeof(key), "%s_why", name);
	json_put_text(object, key, why);
}

json_t *json_put_array(json_t *object, const char *name)
{
	put(object, name, json_array());
	return json_object_get(object, name);
}

json_t *json_put_object(json_t *object, const char *name)
{
	put(object, name, json_object());
	return json_object_get(object, name);
}

json_t *json_add_object(json_t *array)
{
	json_t *object = must(json_object());

	if (json_array_append_new(array, object) != 0)
		must(NULL);
	return object;
}

void json_add_text(json_t *array, const char *text)
{
	bool lossy;

	if (json_array_append_new(array, must(text_value(text, &lossy))) != 0)
		must(NULL);
}

static void print(struct call *call, json_t *document, size_t shape)
{
	/* a failed write is noticed when the command closes its output */
	(void)json_dumpf(document, call->screen.out, shape | JSON_REAL_PRECISION(9));
	fputc('\n', call->screen.out);
	json_decref(document);
	call->answered = true;
}

void json_print(struct call *call, json_t *document)
{
	print(call, document, JSON_INDENT(2));
}

void json_print_line(struct call *call, json_t *document)
{
	print(call, document, JSON_COMPACT);
}

void json_print_error(struct call *call, enum status status)
{
	json_t *document = json_document("error");

	json_put_text(document, "verb", call->verb->name);
	json_put_count(document, "status", (uint64_t)status);
	json_put_text(document, "error", first_complaint());
	json_print(call, document);
}
