/* SPDX-License-Identifier: GPL-2.0 */
/* JSON that never turns a lack of memory into a null. */
#ifndef BASE_JSON_ADD_H
#define BASE_JSON_ADD_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* False if memory runs out.  @value may be NULL. */
bool json_add(struct json_object *object, const char *key,
	      struct json_object *value);
bool json_add_null(struct json_object *object, const char *key);
bool json_add_string(struct json_object *object, const char *key,
		     const char *value);
bool json_add_u64(struct json_object *object, const char *key, uint64_t value);
bool json_add_double(struct json_object *object, const char *key, double value,
		     int decimals);

#endif
