/* SPDX-License-Identifier: GPL-2.0 */
/* Reading JSON that anybody may have made. */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Has it few enough objects and arrays to be parsed in bounded memory? */
bool json_fits(const char *text, size_t len);
/* Flags of a tokener that is as strict as json-c lets it be for this text. */
int json_strict_flags(const char *text, size_t len);
/* Parse JSON of @len bytes that is one value and nothing else, or NULL. */
struct json_object *json_parse(const char *text, size_t len);

/* A member of that type, or NULL. */
struct json_object *json_member(struct json_object *object, const char *key,
				enum json_type type);
const char *json_member_string(struct json_object *object, const char *key);
/* The same, printable and into @size bytes, or "". */
void json_member_text(struct json_object *object, const char *key, char *text,
		      size_t size);
/* A number of up to @max.  False if it is not. */
bool json_value_u64(struct json_object *value, uint64_t max, uint64_t *number);
bool json_member_u64(struct json_object *object, const char *key, uint64_t max,
		     uint64_t *value);
/* The same of a member that may be missing; then *@value and *@found stay. */
bool json_optional_u64(struct json_object *object, const char *key, bool *found,
		       uint64_t *value);
/* A time of up to MAX_SECONDS, in ns. */
bool json_member_seconds(struct json_object *object, const char *key,
			 uint64_t *ns);

#endif
