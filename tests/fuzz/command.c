// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/message.h"
#include "command.h"
#include "common.h"
#include "output_check.h"

#define MAX_WORDS 16
#define MAX_FILES 2

/* Those that name no file, as the input must not say which one to write. */
static const char *const harmless[] = {
	"--json", "--csv",   "--openmetrics", "--host",	 "--units=",
	"--vm=",  "--vcpu=", "--reason=",     "--sort=", "--columns=",
};

const char *put_file(const char *name, const void *data, size_t size)
{
	static char paths[MAX_FILES][300];
	static unsigned int next;
	char *path = paths[next++ % MAX_FILES];
	int fd;

	snprintf(path, sizeof(*paths), "%s/%s", work_dir(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
	return path;
}

const char *page_path(void)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/page", work_dir());
	return path;
}

static bool is_harmless(const char *word)
{
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(harmless); i++) {
		len = strlen(harmless[i]);
		if (harmless[i][len - 1] == '=' ?
			    !strncmp(word, harmless[i], len) :
			    !strcmp(word, harmless[i]))
			return true;
	}
	return false;
}

static void check_output(char *text, size_t len, char *const *words)
{
	bool json = false, csv = false, metrics = false;

	for (; *words; words++) {
		json |= !strcmp(*words, "--json");
		csv |= !strcmp(*words, "--csv");
		metrics |= !strcmp(*words, "--openmetrics");
	}
	check(strlen(text) == len);
	if (csv) {
		check_csv(text);
		return;
	}
	check(is_clean_text(text, len));
	if (json)
		check_json(text, len);
	if (metrics)
		check_metrics(text, false);
}

int run_command(int (*command)(int argc, char **argv), char *line,
		const char *const *files, size_t nr_files)
{
	char *words[MAX_WORDS + MAX_FILES + 2] = { "command" };
	char html[320], *word, *save = NULL, *text;
	size_t nr = 1, len, i;
	int status;

	snprintf(html, sizeof(html), "--html=%s", page_path());
	for (word = strtok_r(line, " \n", &save); word && nr < MAX_WORDS;
	     word = strtok_r(NULL, " \n", &save)) {
		if (!strcmp(word, "--html"))
			words[nr++] = html;
		else if (is_harmless(word))
			words[nr++] = word;
	}
	for (i = 0; i < nr_files; i++)
		words[nr++] = (char *)files[i];

	/* Forget the command line before. */
	optind = 0;
	getopt(1, words, "");

	/* Words of the line may be in messages. */
	user_words = true;
	nr_messages = 0;
	stdout_begin();
	status = command(nr, words);
	text = stdout_end(&len);
	check(status == STATUS_OK || status == STATUS_ERROR ||
	      status == STATUS_USAGE);
	check(status == STATUS_OK || nr_messages);
	if (!status && len)
		check_output(text, len, words);
	free(text);
	return status;
}
