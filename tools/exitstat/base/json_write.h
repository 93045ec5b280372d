/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writing JSON, piece by piece as it comes
 *
 * No tree is made: a thousand VMs in one would need more memory than all the
 * rest.  So nothing fails here; errors are those of the stream.
 */
#ifndef BASE_JSON_WRITE_H
#define BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum json_style {
	JSON_COMPACT = 0,
	/* a value to a line, for people */
	JSON_PRETTY = 1 << 0,
	/* No text in it ends a script or begins a comment there. */
	JSON_IN_SCRIPT = 1 << 1,
};

struct json {
	FILE *out;
	unsigned int style;
	/* how many objects and arrays are open; bits of each: which is which */
	unsigned int depth;
	uint32_t arrays;
	/* and arrays that have an element to a line, whatever the style */
	uint32_t in_lines;
	/* The innermost one has a value. */
	bool some;
};

void json_begin(struct json *json, FILE *out, unsigned int style);

/* A member of an object has a key, elements and the outermost value have NULL. */
void json_put_object(struct json *json, const char *key);
void json_put_array(struct json *json, const char *key);
void json_put_lines(struct json *json, const char *key);
/* End the innermost object or array. */
void json_end(struct json *json);

void json_put_string(struct json *json, const char *key, const char *text);
void json_put_u64(struct json *json, const char *key, uint64_t number);
void json_put_real(struct json *json, const char *key, double number,
		   int decimals);
/* A number as it stands in @text. */
void json_put_number(struct json *json, const char *key, const char *text);
void json_put_bool(struct json *json, const char *key, bool value);
void json_put_null(struct json *json, const char *key);
/* null unless it is @known */
void json_put_known(struct json *json, const char *key, bool known,
		    uint64_t number);
/* ns as seconds, with 6 decimals, rounded down */
void json_put_seconds(struct json *json, const char *key, uint64_t ns);

#endif
