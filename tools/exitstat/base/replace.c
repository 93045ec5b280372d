// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/message.h"
#include "base/replace.h"

static int cannot_write(const char *path, int error)
{
	return fail(STATUS_ERROR, "cannot write %s: %s", path, strerror(error));
}

int replace_open(struct replacement *file, const char *path)
{
	struct stat st;
	mode_t mask;
	int fd;

	file->path = path;
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return fail(
			STATUS_ERROR,
			"%s is not a regular file: name one that can be replaced",
			path);
	/* Not an ending that a collector of such files looks for. */
	if ((size_t)snprintf(file->temporary, sizeof(file->temporary),
			     "%s.XXXXXX", path) >= sizeof(file->temporary))
		return cannot_write(path, ENAMETOOLONG);

	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0)
		return cannot_write(path, errno);
	mask = umask(0);
	umask(mask);
	fchmod(fd, 0644 & ~mask);

	file->stream = fdopen(fd, "w");
	if (file->stream)
		return STATUS_OK;
	close(fd);
	unlink(file->temporary);
	return out_of_memory();
}

int replace_commit(struct replacement *file)
{
	FILE *stream = file->stream;
	int error = 0;

	if (fflush(stream) || ferror(stream) || fsync(fileno(stream)))
		error = errno;
	fclose(stream);
	if (!error && rename(file->temporary, file->path))
		error = errno;
	if (!error)
		return STATUS_OK;

	unlink(file->temporary);
	return cannot_write(file->path, error);
}

void replace_abort(struct replacement *file)
{
	fclose(file->stream);
	unlink(file->temporary);
}
