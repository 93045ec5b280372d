// SPDX-License-Identifier: GPL-2.0
/* Reading JSON that anybody may have made. */
#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "base/text.h"

#define MAX_DEPTH 8
/* json-c needs some hundred bytes even for an empty one. */
#define MAX_OBJECTS (1 << 18)
#define MAX_ARRAYS (1 << 19)

bool json_fits(const char *text, size_t len)
{
	size_t objects = 0, arrays = 0, i;
	bool string = false;

	for (i = 0; i < len; i++) {
		if (text[i] == '"')
			string = !string;
		else if (text[i] == '\\' && string)
			i++;
		else if (!string) {
			objects += text[i] == '{';
			arrays += text[i] == '[';
		}
	}
	return objects <= MAX_OBJECTS && arrays <= MAX_ARRAYS;
}

/* json-c 0.18, if it is strict, takes all but ASCII for control characters. */
int json_strict_flags(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len && json_c_version_num() >> 8 == 18; i++) {
		if (text[i] & 0x80)
			return JSON_TOKENER_VALIDATE_UTF8;
	}
	return JSON_TOKENER_VALIDATE_UTF8 | JSON_TOKENER_STRICT;
}

struct json_object *json_parse(const char *text, size_t len)
{
	struct json_tokener *tokener;
	struct json_object *object;

	if (!json_fits(text, len))
		return NULL;
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, json_strict_flags(text, len));
	object = json_tokener_parse_ex(tokener, text, len);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != len) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

struct json_object *json_member(struct json_object *object, const char *key,
				enum json_type type)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, type))
		return NULL;
	return value;
}

/* json-c saturates what is larger or smaller, to which no counter comes. */
bool json_value_u64(struct json_object *value, uint64_t max, uint64_t *number)
{
	if (!json_object_is_type(value, json_type_int) ||
	    json_object_get_int64(value) < 0)
		return false;
	*number = json_object_get_uint64(value);
	return *number <= max;
}

bool json_member_u64(struct json_object *object, const char *key, uint64_t max,
		     uint64_t *value)
{
	return json_value_u64(json_member(object, key, json_type_int), max,
			      value);
}

/* Leaves @value as it is if there is no such member. */
bool json_optional_u64(struct json_object *object, const char *key, bool *found,
		       uint64_t *value)
{
	struct json_object *number;

	if (!json_object_object_get_ex(object, key, &number))
		return true;
	*found = true;
	return json_value_u64(number, UINT64_MAX, value);
}

bool json_member_seconds(struct json_object *object, const char *key,
			 uint64_t *ns)
{
	struct json_object *value;
	double seconds;

	if (!json_object_object_get_ex(object, key, &value) ||
	    (!json_object_is_type(value, json_type_double) &&
	     !json_object_is_type(value, json_type_int)))
		return false;
	seconds = json_object_get_double(value);
	if (!isfinite(seconds) || seconds < 0 || seconds > MAX_SECONDS)
		return false;
	*ns = seconds * 1e9 + 0.5;
	return true;
}

const char *json_member_string(struct json_object *object, const char *key)
{
	return json_object_get_string(
		json_member(object, key, json_type_string));
}

void json_member_text(struct json_object *object, const char *key, char *text,
		      size_t size)
{
	const char *value = json_member_string(object, key);

	*text = '\0';
	if (value)
		text_printable(text, size, value, strlen(value));
}
