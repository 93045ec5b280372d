// SPDX-License-Identifier: GPL-2.0
/*
 * For LD_PRELOAD: let what a file system other than debugfs does not do happen
 * to files called exit_stats.  FAIL_OPEN and FAIL_READ are error numbers;
 * FAIL_READ comes after the first 100 bytes.  Reads give 7 bytes at most, and
 * every other one is interrupted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int watched = -1;

static int number(const char *name)
{
	const char *value = getenv(name);

	return value ? atoi(value) : 0;
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
	const char *name = strrchr(path, '/');
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);

	if (!name || strcmp(name, "/exit_stats"))
		return next(path, flags, mode);

	errno = number("FAIL_OPEN");
	if (errno)
		return -1;
	fd = next(path, flags, mode);
	watched = fd;
	return fd;
}

ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
	static unsigned int calls, done;
	ssize_t n;

	if (fd != watched)
		return next(fd, buf, size);

	if (done >= 100 && number("FAIL_READ")) {
		/* The directory of a VM goes before its readers' files do. */
		if (getenv("FAIL_RENAME"))
			rename(getenv("FAIL_RENAME"), getenv("FAIL_RENAME_TO"));
		errno = number("FAIL_READ");
		return -1;
	}
	if (calls++ % 2) {
		errno = EINTR;
		return -1;
	}
	n = next(fd, buf, size < 7 ? size : 7);
	if (n > 0)
		done += n;
	return n;
}
