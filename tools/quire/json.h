/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - documents for machines, on top of Jansson.
 *
 * Every document is one object that begins with "schema": "quire.VERB/1". Sizes are numbers of bytes. What is not
 * known is null, and stands beside a "NAME_why". Fields are added, never changed, within one number of a schema;
 * docs/schema has them all.
 */
#ifndef QUIRE_TOOL_JSON_H
#define QUIRE_TOOL_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "verbs.h"

/* An object with its schema's name. */
json_t *json_document(const char *verb);

void json_put_count(json_t *object, const char *name, uint64_t value);
void json_put_real(json_t *object, const char *name, double value);
void json_put_bool(json_t *object, const char *name, bool value);

/* Text; what is no UTF-8 in it is shown as U+FFFD. NULL is null. */
void json_put_text(json_t *object, const char *name, const char *text);

/* A file name: as json_put_text(), and when that lost something, its bytes in hexadecimal as NAME_hex. */
void json_put_name(json_t *object, const char *name, const char *path);

/* null, and the reason as NAME_why. */
void json_put_unknown(json_t *object, const char *name, const char *why);

/* An empty array or object under a name; borrowed. */
json_t *json_put_array(json_t *object, const char *name);
json_t *json_put_object(json_t *object, const char *name);

/* An empty object at the end of an array; borrowed. */
json_t *json_add_object(json_t *array);

/* Text at the end of an array. */
void json_add_text(json_t *array, const char *text);

/* Prints on the call's screen and frees; as one line where many documents follow each other. */
void json_print(struct call *call, json_t *document);
void json_print_line(struct call *call, json_t *document);

/* A reader of JSON shall always find a document: quire.error/1 where the verb printed none. */
void json_print_error(struct call *call, enum status status);

#endif
