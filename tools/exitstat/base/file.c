// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int open_file(const char *path)
{
	/* Whatever the path leads to, do not wait for it. */
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

char *read_file(const char *path, size_t max, size_t *len)
{
	char *buf = NULL, *new;
	size_t size = 0;
	struct stat st;
	ssize_t n;
	int fd, error;

	fd = open_file(path);
	if (fd < 0)
		return NULL;

	if (fstat(fd, &st))
		goto err;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto err;
	}

	*len = 0;
	do {
		if (*len > max) {
			errno = EFBIG;
			goto err;
		}
		if (size - *len < 4096) {
			size = size ? 2 * size : 16384;
			new = realloc(buf, size);
			if (!new)
				goto err;
			buf = new;
		}

		n = read(fd, buf + *len, size - *len - 1);
		if (n > 0)
			*len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));

	if (n < 0)
		goto err;

	close(fd);
	buf[*len] = '\0';
	return buf;
err:
	error = errno;
	close(fd);
	free(buf);
	errno = error;
	return NULL;
}

bool file_exists(const char *path)
{
	struct stat st;

	return !stat(path, &st);
}

bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}
