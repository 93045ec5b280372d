// SPDX-License-Identifier: GPL-2.0
/*
 * For LD_PRELOAD: let what a file system other than debugfs does not do happen
 * to files called exit_stats or its like, or the name in FAIL_NAME.  FAIL_OPEN and FAIL_READ
 * are error numbers; FAIL_READ comes after the first 100 bytes, or FAIL_AFTER.
 * Reads give 7 bytes at most, and every other one is interrupted.
 *
 * FAIL_READDIR ends the list of a directory after so many entries, with the
 * error number in FAIL_READDIR_ERRNO if there is one.
 *
 * FAIL_RENAME is renamed to FAIL_RENAME_TO before any of these.
 */
#include <dirent.h>
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

/* The directory of a VM goes before its readers' files do. */
static void go(void)
{
	if (getenv("FAIL_RENAME"))
		rename(getenv("FAIL_RENAME"), getenv("FAIL_RENAME_TO"));
}

static int is_watched(const char *path)
{
	const char *name = strrchr(path, '/');
	const char *want = getenv("FAIL_NAME");

	/* Those of VMs and vCPUs have the same end. */
	if (!want)
		return name && strstr(name, "exit_stats");
	return name && !strcmp(name + 1, want);
}

int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);

	if (!is_watched(path))
		return next(path, flags, mode);

	if (number("FAIL_OPEN")) {
		go();
		errno = number("FAIL_OPEN");
		return -1;
	}
	fd = next(path, flags, mode);
	watched = fd;
	return fd;
}

ssize_t read(int fd, void *buf, size_t size)
{
	ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
	static unsigned int calls, done;
	unsigned int after = getenv("FAIL_AFTER") ? number("FAIL_AFTER") : 100;
	ssize_t n;

	if (fd != watched)
		return next(fd, buf, size);

	if (done >= after && number("FAIL_READ")) {
		go();
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

struct dirent *readdir(DIR *dir)
{
	struct dirent *(*next)(DIR *) = dlsym(RTLD_NEXT, "readdir");
	static int calls;

	if (!getenv("FAIL_READDIR") || calls++ < number("FAIL_READDIR"))
		return next(dir);

	go();
	if (number("FAIL_READDIR_ERRNO"))
		errno = number("FAIL_READDIR_ERRNO");
	return NULL;
}
