// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/parse.h"
#include "model/snapshot.h"
#include "source/kvmtext.h"

#define FORMAT_VERSION 1

int damaged(const char *path, unsigned int line, const char *fmt, ...)
{
	char what[160], where[32] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line)
		snprintf(where, sizeof(where), ", line %u", line);
	return fail(
		STATUS_ERROR,
		"%s%s: %s: this is not whole output of KVM's exit accounting, try again",
		path, where, what);
}

/* The versions of this format and of sysfs go together. */
int check_version(const char *path, uint64_t version)
{
	if (version <= FORMAT_VERSION)
		return STATUS_OK;

	return fail(
		STATUS_ERROR,
		"%s has format version %llu and this exitstat knows version %d: update exitstat",
		path, (unsigned long long)version, FORMAT_VERSION);
}

int parser_init(struct parser *parser, const char *path, char *text, size_t len)
{
	size_t i;

	*parser = (struct parser){ .path = path, .next = text };

	for (i = 0; i < len; i++) {
		parser->line += !i || text[i - 1] == '\n';
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~'))
			return parser_damaged(parser, "byte 0x%02x",
					      (unsigned char)text[i]);
	}
	parser->line = 0;
	return STATUS_OK;
}

int parser_line(struct parser *parser)
{
	char *text = parser->next, *save = NULL, *word;

	parser->line++;
	if (!*text)
		return parser_damaged(parser, "the file ends early");

	parser->next = strchr(text, '\n');
	if (!parser->next)
		return parser_damaged(parser, "the line has no end");
	*parser->next++ = '\0';

	parser->nr_words = 0;
	for (word = strtok_r(text, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (parser->nr_words == MAX_WORDS)
			return parser_damaged(parser,
					      "the line has too many words");
		parser->words[parser->nr_words++] = word;
	}
	return STATUS_OK;
}

/* How often @key is there, with the last of its values. */
static size_t count_key(const struct parser *parser, const char *key,
			const char **value)
{
	size_t i, nr = 0, len = strlen(key);

	for (i = 1; i < parser->nr_words; i++) {
		const char *word = parser->words[i];

		if (strncmp(word, key, len) || word[len] != '=')
			continue;
		*value = word + len + 1;
		nr++;
	}
	return nr;
}

bool parser_has_key(const struct parser *parser, const char *key)
{
	const char *value;

	return count_key(parser, key, &value);
}

bool parser_key_u64(const struct parser *parser, const char *key, uint64_t max,
		    uint64_t *value)
{
	const char *text;

	return count_key(parser, key, &text) == 1 &&
	       parse_u64(text, max, value);
}

bool parser_key_word(const struct parser *parser, const char *key, char *word)
{
	const char *text;

	return count_key(parser, key, &text) == 1 &&
	       parse_word(text, word, EXIT_WORD_SIZE);
}

int parser_title(struct parser *parser, const char *title, const char *scope)
{
	char word[EXIT_WORD_SIZE];
	uint64_t version;
	int status = parser_line(parser);
	size_t i;

	if (status)
		return status;

	if (!parser->nr_words || strcmp(parser->words[0], title))
		return parser_damaged(parser, "it does not begin with %s",
				      title);

	if (!parser_key_u64(parser, "version", UINT64_MAX, &version) ||
	    !version)
		return parser_damaged(parser, "no valid version");
	status = check_version(parser->path, version);
	if (status)
		return status;

	for (i = 1; i < parser->nr_words; i++) {
		if (!strchr(parser->words[i], '=') || *parser->words[i] == '=')
			return parser_damaged(parser,
					      "a word is not key=value");
	}

	if (!parser_key_word(parser, "scope", word))
		return parser_damaged(parser, "no valid scope");
	if (strcmp(word, scope))
		return parser_damaged(parser, "the scope is not %s", scope);
	return STATUS_OK;
}

int parser_column(const struct parser *parser, const char *name, size_t *column,
		  bool *found)
{
	size_t i, nr_found = 0;

	for (i = 0; i < parser->nr_words; i++) {
		if (strcmp(parser->words[i], name))
			continue;
		if (nr_found++)
			return parser_damaged(parser, "two columns %s", name);
		*column = i;
	}
	if (found)
		*found = nr_found;
	else if (!nr_found)
		return parser_damaged(parser, "no column %s", name);
	return STATUS_OK;
}

int parser_reason(const struct parser *parser, const char *text, bool *none,
		  uint32_t *reason)
{
	uint64_t nr = 0;

	*none = !strcmp(text, "-");
	if (!*none && !parse_u64(text, UINT32_MAX, &nr))
		return parser_damaged(parser, "no valid reason");
	*reason = nr;
	return STATUS_OK;
}
