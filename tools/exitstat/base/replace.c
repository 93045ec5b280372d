// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/message.h"
#include "base/replace.h"

#define MAX_BEGIN 64

static int cannot_write(const char *path, int error)
{
	return fail(STATUS_ERROR, "cannot write %s: %s", path, strerror(error));
}

/* Is what is there empty, or does it begin as one of that kind? */
static bool is_kind(const char *path, const struct replaced_kind *kind)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	char begin[MAX_BEGIN] = "";
	ssize_t len;
	size_t i;

	if (fd < 0)
		return false;
	len = read(fd, begin, sizeof(begin) - 1);
	close(fd);
	for (i = 0; len > 0 && kind->begins[i]; i++) {
		if (!strncmp(begin, kind->begins[i], strlen(kind->begins[i])))
			return true;
	}
	return !len;
}

/* Write to what is there: a device, a pipe, or what stdout is. */
static int open_as_it_is(struct replacement *file, int fd)
{
	if (fd < 0)
		return cannot_write(file->path, errno);
	/* Only to open a FIFO must not wait for a reader. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	file->stream = fdopen(fd, "w");
	if (file->stream)
		return STATUS_OK;
	close(fd);
	return out_of_memory();
}

/* Any name beside the target that no collector of such files looks for. */
static bool name_temporary(struct replacement *file)
{
	unsigned int random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = getpid();
	return (size_t)snprintf(file->temporary, sizeof(file->temporary),
				"%s.%08x", file->target,
				random) < sizeof(file->temporary);
}

static void hold_signals(struct replacement *file)
{
	sigset_t all;

	if (file->blocked)
		return;
	sigfillset(&all);
	file->blocked = !sigprocmask(SIG_BLOCK, &all, &file->before);
}

static void release_signals(struct replacement *file)
{
	if (file->blocked)
		sigprocmask(SIG_SETMASK, &file->before, NULL);
	file->blocked = false;
}

/*
 * A file without a name, which nothing leaves behind; or else, where the file system
 * has no such thing, with one, and no signal comes until it is gone.
 */
static int open_temporary(struct replacement *file)
{
	char dir[PATH_MAX], *slash;
	int fd = -1, tries;

	strcpy(dir, file->target);
	slash = strrchr(dir, '/');
	strcpy(slash ? slash + 1 : dir, ".");
	/* It gets its name by its link there. */
	if (!access("/proc/self/fd", X_OK))
		fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	for (tries = 0; fd < 0 && tries < 100; tries++) {
		if (!name_temporary(file)) {
			errno = ENAMETOOLONG;
			break;
		}
		hold_signals(file);
		fd = open(file->temporary,
			  O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0) {
		*file->temporary = '\0';
		release_signals(file);
	}
	return fd;
}

static int keep_owner(const struct replacement *file, int fd,
		      const struct stat *st)
{
	if ((st->st_uid != geteuid() || st->st_gid != getegid()) &&
	    fchown(fd, st->st_uid, st->st_gid))
		return fail(
			STATUS_ERROR,
			"cannot replace %s, which is another user's: name another file, or run exitstat as root",
			file->path);
	fchmod(fd, st->st_mode & 07777);
	return STATUS_OK;
}

static int open_new(struct replacement *file, const struct stat *st)
{
	int fd = open_temporary(file), status = STATUS_OK;
	mode_t mask;

	if (fd < 0)
		return cannot_write(file->path, errno);
	if (st) {
		status = keep_owner(file, fd, st);
	} else {
		mask = umask(0);
		umask(mask);
		fchmod(fd, 0644 & ~mask);
	}
	if (!status) {
		file->stream = fdopen(fd, "w");
		if (file->stream)
			return STATUS_OK;
		status = out_of_memory();
	}
	close(fd);
	if (*file->temporary)
		unlink(file->temporary);
	release_signals(file);
	return status;
}

int replace_open(struct replacement *file, const char *path,
		 const struct replaced_kind *kind)
{
	struct stat st, out;

	*file = (struct replacement){ .path = path };
	if (!strcmp(path, "-"))
		return open_as_it_is(file, dup(STDOUT_FILENO));
	if (stat(path, &st)) {
		if (!lstat(path, &st))
			return fail(
				STATUS_ERROR,
				"%s is a link to a file that is not there: make that, or name another file",
				path);
		if ((size_t)snprintf(file->target, sizeof(file->target), "%s",
				     path) >= sizeof(file->target))
			return cannot_write(path, ENAMETOOLONG);
		return open_new(file, NULL);
	}
	/* /dev/stdout, whatever that is; another file in its place is not it. */
	if (!fstat(STDOUT_FILENO, &out) && st.st_dev == out.st_dev &&
	    st.st_ino == out.st_ino)
		return open_as_it_is(file, dup(STDOUT_FILENO));
	if (!S_ISREG(st.st_mode))
		return open_as_it_is(file, open(path, O_WRONLY | O_CLOEXEC |
							      O_NONBLOCK));
	if (!is_kind(path, kind))
		return fail(STATUS_ERROR,
			    "%s exists and is not %s: name another file", path,
			    kind->what);
	if (!realpath(path, file->target))
		return cannot_write(path, errno);
	return open_new(file, &st);
}

/* Give a file without one a name beside the target. */
static bool link_temporary(struct replacement *file, int fd)
{
	char link[64];
	int tries;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	for (tries = 0; tries < 100; tries++) {
		if (!name_temporary(file)) {
			errno = ENAMETOOLONG;
			break;
		}
		if (!linkat(AT_FDCWD, link, AT_FDCWD, file->temporary,
			    AT_SYMLINK_FOLLOW))
			return true;
		if (errno != EEXIST)
			break;
	}
	*file->temporary = '\0';
	return false;
}

int replace_commit(struct replacement *file)
{
	FILE *stream = file->stream;
	int error = 0;

	if (fflush(stream) || ferror(stream))
		error = errno;
	/* A pipe has nothing to be kept on a disk. */
	if (!error && *file->target && fsync(fileno(stream)))
		error = errno;
	/* No signal leaves the name behind that it has for a moment. */
	hold_signals(file);
	if (!error && *file->target) {
		if ((!*file->temporary &&
		     !link_temporary(file, fileno(stream))) ||
		    rename(file->temporary, file->target))
			error = errno;
	}
	if (error && *file->temporary)
		unlink(file->temporary);
	release_signals(file);
	if (fclose(stream) && !error && !*file->target)
		error = errno;
	return error ? cannot_write(file->path, error) : STATUS_OK;
}

void replace_abort(struct replacement *file)
{
	fclose(file->stream);
	if (*file->temporary)
		unlink(file->temporary);
	release_signals(file);
}
