// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/input.h"
#include "base/message.h"

#define RAW_SIZE 65536
#define FIRST_SIZE 4096

static int cannot_read(const struct input *input, int error)
{
	return fail(STATUS_ERROR, "cannot read %s: %s", input->path,
		    strerror(error));
}

/* Open a pipe as everybody does, who waits until somebody writes to it. */
static int open_path(const char *path)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (!stat(path, &st) && S_ISFIFO(st.st_mode))
		return open(path, O_RDONLY | O_CLOEXEC);
	return open_file(path);
}

/* Add to what was read of the file.  False and errno on an error. */
static bool fill(struct input *input)
{
	ssize_t n;

	if (input->raw_at) {
		memmove(input->raw, input->raw + input->raw_at,
			input->raw_len - input->raw_at);
		input->raw_len -= input->raw_at;
		input->raw_at = 0;
	}
	do
		n = read(input->fd, input->raw + input->raw_len,
			 RAW_SIZE - input->raw_len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	input->raw_ended = !n;
	input->raw_len += n;
	input->done += n;
	return true;
}

static const struct decompressor *find_decompressor(const struct input *input)
{
	const struct decompressor *d;

	for (d = decompressors; d->name; d++) {
		if (input->raw_len - input->raw_at >= d->magic_len &&
		    !memcmp(input->raw + input->raw_at, d->magic, d->magic_len))
			return d;
	}
	return NULL;
}

/* As many bytes as tell what it is, if there are so many. */
static int begin(struct input *input)
{
	input->raw = malloc(RAW_SIZE);
	input->first = malloc(FIRST_SIZE);
	if (!input->raw || !input->first)
		return out_of_memory();
	while (input->raw_len < DECOMPRESS_MAGIC && !input->raw_ended) {
		if (!fill(input))
			return cannot_read(input, errno);
	}
	input->decompressor = find_decompressor(input);
	if (!input->decompressor)
		return STATUS_OK;
	if (!input->decompressor->open)
		return fail(
			STATUS_ERROR,
			"%s is compressed with %s, which this program cannot read: give it to '%s', and that to this command with -",
			input->path, input->decompressor->name,
			input->decompressor->program);
	input->state = input->decompressor->open();
	return input->state ? STATUS_OK : out_of_memory();
}

int input_open(struct input *input, const char *path)
{
	const bool use_stdin = !strcmp(path, "-");
	struct stat st;

	*input = (struct input){ .path = use_stdin ? "stdin" : path };
	input->fd = open_path(path);
	if (input->fd < 0 || fstat(input->fd, &st))
		return cannot_read(input, errno);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !use_stdin)
		return fail(STATUS_ERROR, "%s is not a file", path);
	/* Whatever it is, there may be more of it later. */
	if (!use_stdin)
		fcntl(input->fd, F_SETFL, 0);
	if (S_ISREG(st.st_mode))
		input->size = st.st_size;
	return begin(input);
}

static size_t take_raw(struct input *input, void *buf, size_t size)
{
	const size_t left = input->raw_len - input->raw_at;

	if (size > left)
		size = left;
	memcpy(buf, input->raw + input->raw_at, size);
	input->raw_at += size;
	return size;
}

static ssize_t read_raw(struct input *input, void *buf, size_t size)
{
	if (input->raw_at == input->raw_len && !input->raw_ended &&
	    !fill(input))
		return -1;
	return take_raw(input, buf, size);
}

/* Nothing can be read from here on. */
static void give_up(struct input *input, const char *why)
{
	note("%s: its compressed data %s: what is behind that is missing",
	     input->path, why);
	input->ended = true;
}

/* Some bytes, 0 if there are none yet, or -1 and errno on an error. */
static ssize_t decompress(struct input *input, void *buf, size_t size)
{
	struct compressed data;
	enum decompress_result result;

	if (input->raw_len - input->raw_at < DECOMPRESS_MAGIC &&
	    !input->raw_ended && !fill(input))
		return -1;
	if (!input->inside && input->raw_at == input->raw_len) {
		input->ended = input->raw_ended;
		return 0;
	}
	if (!input->inside && find_decompressor(input) != input->decompressor) {
		if (input->raw_ended ||
		    input->raw_len - input->raw_at >= DECOMPRESS_MAGIC)
			give_up(input, "has something else behind it");
		return 0;
	}
	input->inside = true;
	data = (struct compressed){
		.in = input->raw + input->raw_at,
		.in_len = input->raw_len - input->raw_at,
		.out = buf,
		.out_len = size,
		.last = input->raw_ended,
	};
	result = input->decompressor->run(input->state, &data);
	if (result == DECOMPRESS_NO_MEMORY) {
		errno = ENOMEM;
		return -1;
	}
	if (result == DECOMPRESS_MORE && data.out_len == size &&
	    data.in == input->raw + input->raw_at) {
		/* No step was made: it needs more, if there is any. */
		if (input->raw_ended)
			give_up(input, "ends early");
		else if (!input->raw_at && input->raw_len == RAW_SIZE)
			give_up(input, "is damaged");
		else if (!fill(input))
			return -1;
		return 0;
	}
	if (result == DECOMPRESS_DAMAGED)
		give_up(input, "is damaged");
	if (result == DECOMPRESS_END)
		input->inside = false;
	input->raw_at = input->raw_len - data.in_len;
	return size - data.out_len;
}

static ssize_t read_more(struct input *input, void *buf, size_t size)
{
	ssize_t n = 0;

	if (!input->decompressor)
		return read_raw(input, buf, size);
	while (!n && !input->ended)
		n = decompress(input, buf, size);
	return n;
}

ssize_t input_read(struct input *input, void *buf, size_t size)
{
	const size_t left = input->first_len - input->first_at;

	if (!left)
		return read_more(input, buf, size);
	if (size > left)
		size = left;
	memcpy(buf, input->first + input->first_at, size);
	input->first_at += size;
	return size;
}

const char *input_peek(struct input *input, size_t *len)
{
	ssize_t n;

	while (input->first_len < FIRST_SIZE) {
		n = read_more(input, input->first + input->first_len,
			      FIRST_SIZE - input->first_len);
		if (n <= 0)
			break;
		input->first_len += n;
		/* Of a pipe the rest may come much later. */
		if (memchr(input->first, '\n', input->first_len))
			break;
	}
	*len = input->first_len;
	return input->first;
}

char *input_read_all(struct input *input, size_t max, size_t *len)
{
	char *text = NULL, *new;
	size_t size = 0;
	ssize_t n = 1;

	for (*len = 0; n > 0; *len += n) {
		if (*len > max) {
			errno = EFBIG;
			n = -1;
			break;
		}
		if (size - *len < 4096) {
			size = size ? 2 * size : RAW_SIZE;
			new = realloc(text, size);
			if (!new) {
				n = -1;
				break;
			}
			text = new;
		}
		n = input_read(input, text + *len, size - *len - 1);
		if (n < 0)
			break;
	}
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[*len] = '\0';
	return text;
}

double input_progress(const struct input *input)
{
	return input->size ? (double)input->done / input->size : -1;
}

void input_close(struct input *input)
{
	if (input->state)
		input->decompressor->close(input->state);
	free(input->raw);
	free(input->first);
	if (input->fd >= 0)
		close(input->fd);
	*input = (struct input){ .fd = -1 };
}

/* All that is left of @from, in a file that nobody else sees.  -1 and errno. */
static int copy_to_file(int from)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC,
		      0600);
	char buf[16384];
	ssize_t n = 1;

	while (fd >= 0 && n) {
		n = read(from, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || write(fd, buf, n) != n) {
			n = errno;
			close(fd);
			errno = n;
			return -1;
		}
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

int input_keep(const char **path)
{
	struct stat st;
	int from, to;

	if (strcmp(*path, "-") && (stat(*path, &st) || !S_ISFIFO(st.st_mode)))
		return STATUS_OK;
	from = open_path(*path);
	if (from < 0)
		return fail(STATUS_ERROR, "cannot read %s: %s", *path,
			    strerror(errno));
	to = lseek(from, 0, SEEK_CUR) < 0 ? copy_to_file(from) : dup(from);
	if (to < 0 || dup2(to, STDIN_FILENO) < 0)
		return fail(STATUS_ERROR, "cannot keep what %s has: %s", *path,
			    strerror(errno));
	close(from);
	close(to);
	*path = "-";
	return STATUS_OK;
}
