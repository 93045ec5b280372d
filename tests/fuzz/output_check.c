// SPDX-License-Identifier: GPL-2.0
/* Is what was printed what its format says? */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "base/json_read.h"
#include "output_check.h"

void check_json(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	check(tokener);
	json_tokener_set_flags(tokener, json_strict_flags(text, len));
	object = json_tokener_parse_ex(tokener, text, len);
	check(object);
	check(json_tokener_get_parse_end(tokener) == len ||
	      text[json_tokener_get_parse_end(tokener)] == '\n');
	json_object_put(object);
	json_tokener_free(tokener);
}

/* The number of fields of a record of RFC 4180, and where it ends. */
static size_t csv_record(const char **text)
{
	const char *p = *text;
	size_t nr = 1;

	for (;;) {
		if (*p == '"') {
			for (p++; *p != '"' || p[1] == '"'; p++) {
				check(*p);
				p += *p == '"';
			}
			p++;
		} else {
			/* A program that reads it would run what begins so. */
			check(!*p || !strchr("=+@", *p));
			p += strcspn(p, "\",\r\n");
		}
		if (*p != ',')
			break;
		p++;
		nr++;
	}
	check(!strncmp(p, "\r\n", 2));
	*text = p + 2;
	return nr;
}

void check_csv(const char *text)
{
	size_t nr = csv_record(&text);

	while (*text)
		check(csv_record(&text) == nr);
}

static size_t name_length(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A sample's line, split behind its labels: the rest has to be a number. */
static char *sample_value(char *line)
{
	char *p = line + name_length(line), *end;
	double value;

	check(p > line && !(*line >= '0' && *line <= '9'));
	if (*p == '{') {
		do {
			size_t len = name_length(++p);

			check(len && p[len] == '=' && p[len + 1] == '"');
			for (p += len + 2; *p != '"'; p++) {
				check(*p);
				if (*p == '\\')
					check(strchr("\\\"n", *++p) && *p);
			}
			p++;
		} while (*p == ',');
		check(*p++ == '}');
	}
	check(*p == ' ');
	*p++ = '\0';
	value = strtod(p, &end);
	check(end > p && !*end && value >= 0);
	return p;
}

/* No series may be there twice. */
void check_metrics(char *text, bool prometheus)
{
	char *line, *save = NULL, **series = NULL;
	size_t i, nr = 0;
	bool eof = false;

	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		check(!eof);
		if (*line == '#') {
			eof = !strcmp(line, "# EOF");
			check(eof || !strncmp(line, "# HELP ", 7) ||
			      !strncmp(line, "# TYPE ", 7) ||
			      !strncmp(line, "# UNIT ", 7));
			continue;
		}
		sample_value(line);
		series = reallocarray(series, nr + 1, sizeof(*series));
		check(series);
		series[nr++] = line;
	}
	check(eof != prometheus);

	if (nr)
		qsort(series, nr, sizeof(*series), compare_texts);
	for (i = 1; i < nr; i++)
		check(strcmp(series[i - 1], series[i]));
	free(series);
}
