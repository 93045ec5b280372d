// SPDX-License-Identifier: GPL-2.0
/* Where a recording goes to: whatever is there before stays there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/array.h"
#include "base/message.h"
#include "recording/file.h"
#include "recording/format.h"

/* A pipe that poll() finds writable takes so much without waiting. */
#define PIPE_PIECE PIPE_BUF
/* How often a pipe without a reader is tried, in ms. */
#define PIPE_BEAT 100
/* How long a full pipe may delay the end, in ms. */
#define PIPE_PATIENCE 1000

/* What recording_header() begins with. */
static const char beginning[] = "{\"schema\":\"" RECORDING_SCHEMA
				"\",\"version\":";

static int not_a_recording(const char *path)
{
	return fail(STATUS_ERROR,
		    "%s exists and is not a recording: name another file",
		    path);
}

/* A file with something in it must be a recording, if only its beginning. */
static int check_content(struct recording_file *file, off_t size)
{
	char text[sizeof(beginning) + 16] = {}, last;
	const size_t len = strlen(beginning);
	ssize_t n = pread(file->fd, text, sizeof(text) - 1, 0);
	char *end;

	if (n <= 0 || pread(file->fd, &last, 1, size - 1) != 1)
		return fail(STATUS_ERROR, "cannot read %s: %s", file->path,
			    n < 0 ? strerror(errno) : "it changes");

	if (strncmp(text, beginning, (size_t)n < len ? (size_t)n : len))
		return not_a_recording(file->path);
	if (strtoul(text + len, &end, 10) > RECORDING_VERSION)
		return fail(
			STATUS_ERROR,
			"%s was recorded by a newer exitstat: update exitstat or name another file",
			file->path);
	file->torn = last != '\n';
	return STATUS_OK;
}

static int open_regular(struct recording_file *file)
{
	struct stat st;

	/*
	 * What is in it only root can read, unless an administrator says
	 * otherwise.
	 */
	file->fd = open(file->path,
			O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
				O_NONBLOCK,
			0600);
	if (file->fd < 0)
		return fail(STATUS_ERROR, "cannot open %s: %s", file->path,
			    strerror(errno));
	if (fstat(file->fd, &st) || !S_ISREG(st.st_mode))
		return fail(STATUS_ERROR,
			    "%s is neither a file nor a pipe: name another",
			    file->path);
	if (flock(file->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return fail(STATUS_ERROR,
			    "another exitstat records to %s: name another file",
			    file->path);
	/* Now that nobody else writes to it. */
	if (fstat(file->fd, &st))
		return fail(STATUS_ERROR, "cannot read %s: %s", file->path,
			    strerror(errno));
	return st.st_size ? check_content(file, st.st_size) : STATUS_OK;
}

static int open_pipe(struct recording_file *file)
{
	struct pollfd signals = { .fd = file->signals, .events = POLLIN };
	bool told = false;
	struct stat st;

	while ((file->fd = open(file->path,
				O_WRONLY | O_CLOEXEC | O_NONBLOCK)) < 0 &&
	       errno == ENXIO) {
		if (!told)
			note("waiting for somebody to read the pipe %s",
			     file->path);
		told = true;
		if (poll(&signals, 1, PIPE_BEAT))
			return fail(STATUS_ERROR, "nobody reads the pipe %s",
				    file->path);
	}
	if (file->fd < 0)
		return fail(STATUS_ERROR, "cannot open %s: %s", file->path,
			    strerror(errno));
	/* Another may have its name by now, and would be overwritten. */
	if (fstat(file->fd, &st) || !S_ISFIFO(st.st_mode))
		return fail(STATUS_ERROR,
			    "%s is no pipe any more: name another file",
			    file->path);
	return STATUS_OK;
}

static int open_stdout(struct recording_file *file)
{
	if (isatty(STDOUT_FILENO))
		return fail(
			STATUS_USAGE,
			"stdout is a terminal: name a file with -o, or redirect it");
	file->path = "stdout";
	file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (file->fd < 0)
		return fail(STATUS_ERROR, "cannot write to stdout: %s",
			    strerror(errno));
	return STATUS_OK;
}

int recording_file_open(struct recording_file *file, const char *path,
			int signals)
{
	struct stat st;
	int status;

	*file = (struct recording_file){
		.path = path,
		.fd = -1,
		.signals = signals,
	};

	if (!strcmp(path, "-"))
		status = open_stdout(file);
	else if (!stat(path, &st) && S_ISFIFO(st.st_mode))
		status = open_pipe(file);
	else if (!stat(path, &st) && !S_ISREG(st.st_mode))
		status = fail(STATUS_ERROR,
			      "%s is neither a file nor a pipe: name another",
			      path);
	else
		status = open_regular(file);

	if (!status && !fstat(file->fd, &st)) {
		file->regular = S_ISREG(st.st_mode);
		file->pipe = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
		/* stdout need not be appended to. */
		file->end = fcntl(file->fd, F_GETFL) & O_APPEND ?
				    st.st_size :
				    lseek(file->fd, 0, SEEK_CUR);
		return STATUS_OK;
	}
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	return status;
}

bool recording_file_moved(const struct recording_file *file)
{
	struct stat old, new;

	return fstat(file->fd, &old) || stat(file->path, &new) ||
	       old.st_dev != new.st_dev || old.st_ino != new.st_ino;
}

bool recording_file_truncated(struct recording_file *file)
{
	struct stat st;
	char last = '\n';

	if (!file->regular || fstat(file->fd, &st) || st.st_size >= file->end)
		return false;
	file->end = st.st_size;
	/* stdout may be one that is not appended to, or cannot be read. */
	lseek(file->fd, 0, SEEK_END);
	file->torn = st.st_size &&
		     (pread(file->fd, &last, 1, st.st_size - 1) != 1 ||
		      last != '\n');
	return true;
}

bool recording_file_removed(const struct recording_file *file)
{
	struct stat st;

	return file->regular && !fstat(file->fd, &st) && !st.st_nlink;
}

/* Wait for room in a pipe, not much longer than until a signal comes. */
static bool wait_for_room(const struct recording_file *file)
{
	struct pollfd fds[] = {
		{ .fd = file->fd, .events = POLLOUT },
		{ .fd = file->signals, .events = POLLIN },
	};

	if (!file->ending) {
		while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
			;
	}
	if (!fds[0].revents)
		poll(fds, 1, file->torn ? 0 : PIPE_PATIENCE);
	if (fds[0].revents)
		return true;
	errno = ECANCELED;
	return false;
}

/* What iovec @iov has left. */
static void advance(struct iovec *iov, size_t nr, size_t n)
{
	for (; nr; nr--, iov++) {
		const size_t part = n < iov->iov_len ? n : iov->iov_len;

		iov->iov_base = (char *)iov->iov_base + part;
		iov->iov_len -= part;
		n -= part;
	}
}

static ssize_t write_some(const struct recording_file *file, struct iovec *iov,
			  size_t nr)
{
	struct iovec piece = iov->iov_len ? iov[0] : iov[1];

	if (!file->pipe)
		return writev(file->fd, iov, nr);

	if (!wait_for_room(file))
		return -1;
	if (piece.iov_len > PIPE_PIECE)
		piece.iov_len = PIPE_PIECE;
	return write(file->fd, piece.iov_base, piece.iov_len);
}

bool recording_file_write(struct recording_file *file, const char *text,
			  size_t len)
{
	/* A torn line ends here, whatever it was. */
	struct iovec iov[] = {
		{ .iov_base = "\n", .iov_len = file->torn },
		{ .iov_base = (void *)text, .iov_len = len },
	};
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len) {
		n = write_some(file, iov, ARRAY_SIZE(iov));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!n)
				errno = ENOSPC;
			/* If not even the '\n' was written, it was torn. */
			if (iov[1].iov_len < len)
				file->torn = true;
			else if (!iov[0].iov_len)
				file->torn = false;
			return false;
		}
		file->end += n;
		advance(iov, ARRAY_SIZE(iov), n);
	}
	file->torn = false;
	return true;
}

bool recording_file_close(struct recording_file *file)
{
	/*
	 * What was written survives us.  That it also survives the loss of
	 * power is not worth a wait for the disk at each sample.
	 */
	bool ok = !file->regular || !fsync(file->fd);
	int error = errno;

	if (close(file->fd) && ok) {
		ok = false;
		error = errno;
	}
	file->fd = -1;
	errno = error;
	return ok;
}
