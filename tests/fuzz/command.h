/* SPDX-License-Identifier: GPL-2.0 */
/* Running a command of the program with options from the input. */
#ifndef FUZZ_COMMAND_H
#define FUZZ_COMMAND_H

#include <stddef.h>

/*
 * Run @command on @files, with those words of @line that are options of it and
 * cannot do harm.  What it prints must be valid.  Its status.
 */
int run_command(int (*command)(int argc, char **argv), char *line,
		const char *const *files, size_t nr_files);
/* What --html in the line stands for. */
const char *page_path(void);

/* Put a file into work_dir(), and return its path. */
const char *put_file(const char *name, const void *data, size_t size);

#endif
