/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Open a file to read it.  As open(), and never waits. */
int open_file(const char *path);
/*
 * Read a whole file of up to @max bytes, and put a '\0' after it.  NULL and
 * errno on error.
 */
char *read_file(const char *path, size_t max, size_t *len);
/*
 * Is there anything?  As the effective user, who may have CAP_DAC_READ_SEARCH, and
 * not as access().
 */
bool file_exists(const char *path);
bool is_dir(const char *path);

#endif
