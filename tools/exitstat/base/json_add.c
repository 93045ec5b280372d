// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdio.h>

#include "base/json_add.h"

bool json_add(struct json_object *object, const char *key,
	      struct json_object *value)
{
	if (!value)
		return false;

	if (json_object_object_add(object, key, value)) {
		json_object_put(value);
		return false;
	}
	return true;
}

bool json_add_string(struct json_object *object, const char *key,
		     const char *value)
{
	return json_add(object, key, json_object_new_string(value));
}

bool json_add_u64(struct json_object *object, const char *key, uint64_t value)
{
	return json_add(object, key, json_object_new_uint64(value));
}

bool json_add_null(struct json_object *object, const char *key)
{
	return !json_object_object_add(object, key, NULL);
}

bool json_add_double(struct json_object *object, const char *key, double value,
		     int decimals)
{
	char text[64];

	snprintf(text, sizeof(text), "%.*f", decimals, value);
	return json_add(object, key, json_object_new_double_s(value, text));
}
