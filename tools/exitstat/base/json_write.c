// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_write.h"

/* Recordings are large: the stream is not locked for each character. */
static void put(struct json *json, const char *text, size_t len)
{
	fwrite_unlocked(text, 1, len, json->out);
}

static void put_char(struct json *json, char c)
{
	putc_unlocked(c, json->out);
}

static bool is_pretty(const struct json *json)
{
	return json->style & JSON_PRETTY;
}

static void new_line(struct json *json)
{
	fprintf(json->out, "\n%*s", is_pretty(json) ? 2 * json->depth : 0, "");
}

/* What stands before a value. */
static void begin_value(struct json *json, const char *key)
{
	const bool in_lines = json->in_lines >> json->depth & 1;

	if (json->some)
		put_char(json, ',');
	if (json->depth && (is_pretty(json) || (in_lines && json->some)))
		new_line(json);
	json->some = true;
	if (!key)
		return;
	put_char(json, '"');
	put(json, key, strlen(key));
	put(json, "\": ", is_pretty(json) ? 3 : 2);
}

void json_begin(struct json *json, FILE *out, unsigned int style)
{
	*json = (struct json){ .out = out, .style = style };
}

static void open_one(struct json *json, const char *key, bool array,
		     bool in_lines)
{
	uint32_t bit;

	begin_value(json, key);
	put_char(json, array ? '[' : '{');
	json->depth++;
	json->some = false;
	bit = 1u << json->depth;
	json->arrays = array ? json->arrays | bit : json->arrays & ~bit;
	json->in_lines = in_lines ? json->in_lines | bit :
				    json->in_lines & ~bit;
	if (in_lines)
		new_line(json);
}

void json_put_object(struct json *json, const char *key)
{
	open_one(json, key, false, false);
}

void json_put_array(struct json *json, const char *key)
{
	open_one(json, key, true, false);
}

void json_put_lines(struct json *json, const char *key)
{
	open_one(json, key, true, true);
}

void json_end(struct json *json)
{
	const bool array = json->arrays >> json->depth & 1;
	const bool in_lines = json->in_lines >> json->depth & 1;

	json->depth--;
	if (is_pretty(json) || (in_lines && json->some))
		new_line(json);
	put_char(json, array ? ']' : '}');
	json->some = true;
}

/* Before 2019 these two ended a line of a script. */
static bool is_line_end(const char *text)
{
	return !strncmp(text, "\u2028", 3) || !strncmp(text, "\u2029", 3);
}

static void put_escaped(struct json *json, const char *text)
{
	const bool script = json->style & JSON_IN_SCRIPT;

	for (; *text; text++) {
		const unsigned char c = *text;

		if (c < ' ' || (script && strchr("\"\\<>&", c))) {
			fprintf(json->out, "\\u%04x", c);
		} else if (script && is_line_end(text)) {
			fprintf(json->out, "\\u%04x",
				0x2000 | (text[2] & 0x3f));
			text += 2;
		} else {
			if (c == '"' || c == '\\')
				put_char(json, '\\');
			put_char(json, c);
		}
	}
}

void json_put_string(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	put_char(json, '"');
	put_escaped(json, text);
	put_char(json, '"');
}

void json_put_number(struct json *json, const char *key, const char *text)
{
	begin_value(json, key);
	put(json, text, strlen(text));
}

void json_put_u64(struct json *json, const char *key, uint64_t number)
{
	char digits[20];
	size_t i = sizeof(digits);

	begin_value(json, key);
	do
		digits[--i] = '0' + number % 10;
	while (number /= 10);
	put(json, digits + i, sizeof(digits) - i);
}

void json_put_real(struct json *json, const char *key, double number,
		   int decimals)
{
	begin_value(json, key);
	fprintf(json->out, "%.*f", decimals, number);
}

void json_put_bool(struct json *json, const char *key, bool value)
{
	json_put_number(json, key, value ? "true" : "false");
}

void json_put_null(struct json *json, const char *key)
{
	json_put_number(json, key, "null");
}

void json_put_known(struct json *json, const char *key, bool known,
		    uint64_t number)
{
	if (known)
		json_put_u64(json, key, number);
	else
		json_put_null(json, key);
}

void json_put_seconds(struct json *json, const char *key, uint64_t ns)
{
	begin_value(json, key);
	fprintf(json->out, "%" PRIu64 ".%06" PRIu64, ns / 1000000000,
		ns / 1000 % 1000000);
}
