// SPDX-License-Identifier: GPL-2.0
/*
 * 'exitstat report': options in the first line, and a recording behind it.
 * With --html the page's data must be as the page expects them.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/json_read.h"
#include "cmd/commands.h"
#include "command.h"
#include "common.h"

/* In the place of the page's text, which is the same for all recordings. */
#define BEFORE "<script>const data = "
#define AFTER ";</script>"

const char report_template[] = "<script>/*EXITSTAT_CHART_JS*/</script>" BEFORE
			       "/*EXITSTAT_DATA*/null" AFTER;
const char report_chart_js[] = "";

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value;

	check(json_object_object_get_ex(object, key, &value));
	return value;
}

static void check_length(struct json_object *array, size_t nr)
{
	check(json_object_is_type(array, json_type_array));
	check(json_object_array_length(array) == nr);
}

static void check_times(struct json_object *times, struct json_object *lengths,
			size_t nr)
{
	double last = 0;
	size_t i;

	check_length(lengths, nr);
	for (i = 0; i < nr; i++) {
		double end = json_object_get_double(
			json_object_array_get_idx(times, i));

		check(i ? end >= last : end >= 0);
		last = end;
	}
}

static void check_latency(struct json_object *latency, size_t nr)
{
	static const char *const times[] = { "handle", "total" };
	struct json_object *reasons, *rows, *row;
	size_t nr_buckets, i, j, k;

	if (!latency)
		return;
	nr_buckets = json_object_array_length(member(latency, "buckets"));
	check(nr_buckets);
	reasons = member(latency, "reasons");
	for (i = 0; i < json_object_array_length(reasons); i++) {
		for (j = 0; j < ARRAY_SIZE(times); j++) {
			rows = member(json_object_array_get_idx(reasons, i),
				      times[j]);
			check_length(rows, nr);
			for (k = 0; k < nr; k++) {
				row = json_object_array_get_idx(rows, k);
				if (row)
					check_length(row, nr_buckets);
			}
		}
	}
}

static void check_scope(struct json_object *scope)
{
	static const char *const phases[] = { "guest", "handle", "user", "wait",
					      "preempted" };
	struct json_object *times = member(scope, "t"), *reasons;
	size_t nr = json_object_array_length(times), i;

	check_times(times, member(scope, "dt"), nr);
	for (i = 0; i < ARRAY_SIZE(phases); i++)
		check_length(member(member(scope, "phases"), phases[i]), nr);
	reasons = member(scope, "reasons");
	for (i = 0; i < json_object_array_length(reasons); i++)
		check_length(member(json_object_array_get_idx(reasons, i),
				    "exits"),
			     nr);
	check_latency(member(scope, "latency"), nr);
}

static void check_data(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object, *scopes;
	size_t i;

	/* Nothing that ends a script. */
	check(!memchr(text, '<', len));
	check(is_clean_text(text, len) && !memchr(text, '\n', len));
	json_tokener_set_flags(tokener, json_strict_flags(text, len));
	object = json_tokener_parse_ex(tokener, text, len);
	check(object && json_tokener_get_parse_end(tokener) == len);
	scopes = member(object, "scopes");
	for (i = 0; i < json_object_array_length(scopes); i++)
		check_scope(json_object_array_get_idx(scopes, i));
	json_object_put(object);
	json_tokener_free(tokener);
}

static void check_page(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL, *begin, *end;
	size_t size = 0;

	check(file);
	check(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	begin = strstr(text, BEFORE);
	end = begin ? strstr(begin, AFTER) : NULL;
	check(end);
	begin += strlen(BEFORE);
	check_data(begin, end - begin);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	const char *file;
	char *line;
	int status;

	if (!end)
		return 0;
	line = strndup((const char *)data, end - data);
	check(line);
	file = put_file("recording", end + 1, data + size - (end + 1));
	unlink(page_path());
	status = run_command(cmd_report, line, &file, 1);
	if (!access(page_path(), F_OK)) {
		check(!status);
		check_page(page_path());
	}
	free(line);
	return 0;
}
