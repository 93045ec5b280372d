/* SPDX-License-Identifier: GPL-2.0 */
/* Where a recording goes to: whatever is there before stays there. */
#ifndef RECORDING_FILE_H
#define RECORDING_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct recording_file {
	const char *path;
	int fd;
	/* a file, of which the last line may have been torn by a full disk */
	bool regular;
	bool torn;
	/* how long the file is, if nobody took anything from it */
	off_t end;
	/* a pipe, which may have no room: then a signal in @signals ends that */
	bool pipe;
	int signals;
	/* such a signal came: do not wait for room any more */
	bool ending;
};

/*
 * Open @path, or stdout if it is "-".  What is there must be a recording, and
 * stays.  STATUS_OK, or the program's status after a message.
 */
int recording_file_open(struct recording_file *file, const char *path,
			int signals);
/* Was what @file's path leads to renamed or removed? */
bool recording_file_moved(const struct recording_file *file);
/*
 * Is it shorter than what was written to it, so that somebody took that away?
 * Only once for each time.
 */
bool recording_file_truncated(struct recording_file *file);
/* Has it no name any more? */
bool recording_file_removed(const struct recording_file *file);
/* Write a line.  False and errno if not all of it could be written. */
bool recording_file_write(struct recording_file *file, const char *text,
			  size_t len);
/* False and errno if what was written may not be on the disk. */
bool recording_file_close(struct recording_file *file);

#endif
