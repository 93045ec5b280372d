// SPDX-License-Identifier: GPL-2.0
/* The lines of a recording's file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "recording/format.h"
#include "recording/input.h"

#define CHUNK_SIZE 65536

int recording_open(struct recording *recording, const char *path)
{
	struct input input;
	int status = input_open(&input, path);

	if (!status)
		return recording_begin(recording, &input);
	*recording = (struct recording){ .path = input.path };
	input_close(&input);
	return status;
}

int recording_begin(struct recording *recording, struct input *input)
{
	*recording = (struct recording){ .path = input->path, .input = *input };
	*input = (struct input){ .fd = -1 };
	recording->chunk = malloc(CHUNK_SIZE);
	return recording->chunk ? STATUS_OK : out_of_memory();
}

/* False at the end, or on an error that *error then has. */
static bool fill_chunk(struct recording *recording, int *error)
{
	ssize_t n = input_read(&recording->input, recording->chunk, CHUNK_SIZE);

	if (n < 0)
		*error = errno;
	recording->chunk_at = 0;
	recording->chunk_len = n > 0 ? n : 0;
	return n > 0;
}

/* Append to the line.  What would be too long is left out, but counted. */
static bool append(struct recording *recording, size_t *len, const char *text,
		   size_t more)
{
	size_t size = recording->line_size;
	char *line;

	if (more && *len + more <= RECORDING_MAX_LINE) {
		while (size < *len + more)
			size = size ? 2 * size : CHUNK_SIZE;
		if (size != recording->line_size) {
			line = realloc(recording->line, size);
			if (!line)
				return false;
			recording->line = line;
			recording->line_size = size;
		}
		memcpy(recording->line + *len, text, more);
	}
	*len += more;
	return true;
}

/* The next line without its '\n'.  False if there is none, or on error. */
static bool read_line(struct recording *recording, size_t *len, int *error)
{
	const char *text, *end;
	bool any = false;
	size_t n;

	*len = 0;
	*error = 0;
	for (;;) {
		if (recording->chunk_at == recording->chunk_len &&
		    !fill_chunk(recording, error))
			return any && !*error;
		any = true;
		text = recording->chunk + recording->chunk_at;
		n = recording->chunk_len - recording->chunk_at;
		end = memchr(text, '\n', n);
		if (end)
			n = end - text;
		recording->chunk_at += n + !!end;
		if (!append(recording, len, text, n)) {
			*error = ENOMEM;
			return false;
		}
		if (end)
			return true;
	}
}

bool recording_is_one(struct input *input)
{
	static const char key[] = "\"schema\"",
			  schema[] = RECORDING_SCHEMA "\"";
	static const char blanks[] = " \t\r\n";
	const char *text, *end;
	size_t len;

	/* In the name of a VM, which anybody may choose, a quote is escaped. */
	text = input_peek(input, &len);
	for (end = text + len;
	     (text = memmem(text, end - text, key, strlen(key)));) {
		text += strlen(key);
		while (text < end && strchr(blanks, *text))
			text++;
		if (text == end || *text++ != ':')
			continue;
		while (text < end && strchr(blanks, *text))
			text++;
		return text < end && *text++ == '"' &&
		       (size_t)(end - text) >= strlen(schema) &&
		       !memcmp(text, schema, strlen(schema));
	}
	return false;
}

/* Not even what is left of a header's line. */
static bool is_foreign(const char *line, size_t len)
{
	static const char beginning[] = "{\"schema\":\"" RECORDING_SCHEMA "\"";
	const size_t expected = strlen(beginning);

	return len && memcmp(line, beginning, len < expected ? len : expected);
}

enum recording_event recording_next(struct recording *recording)
{
	enum recording_event event;
	uint64_t skipped;
	size_t len;
	int error;

	if (!read_line(recording, &len, &error)) {
		if (!error)
			return RECORDING_EOF;
		fail(STATUS_ERROR, "cannot read %s: %s", recording->path,
		     strerror(error));
		return RECORDING_FAILED;
	}

	if (len > RECORDING_MAX_LINE) {
		recording->nr_skipped++;
		event = RECORDING_NOTHING;
	} else {
		skipped = recording->nr_skipped;
		event = recording_read_line(recording, recording->line, len);
		if (skipped == recording->nr_skipped)
			return event;
	}
	if (!recording->nr_sections &&
	    (len > RECORDING_MAX_LINE || is_foreign(recording->line, len))) {
		fail(STATUS_ERROR, "%s is not a recording of 'exitstat record'",
		     recording->path);
		return RECORDING_FAILED;
	}
	return event;
}
