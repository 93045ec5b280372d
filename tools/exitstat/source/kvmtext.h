/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's text format: a line of key=value, a line of column names, and
 * rows of as many cells
 *
 * Later kernels may add keys and columns, and earlier ones have fewer, so both
 * are found by name.
 *
 * Everything else is refused, because whatever is left of a damaged file would
 * look like true counters.  Functions that return an int return STATUS_OK, or
 * STATUS_ERROR after a message.
 */
#ifndef SOURCE_KVMTEXT_H
#define SOURCE_KVMTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_WORDS 128

struct parser {
	const char *path;
	/* what follows the current line */
	char *next;
	unsigned int line;
	char *words[MAX_WORDS];
	size_t nr_words;
};

/* The text, for the functions below to split; with its '\0' at @len. */
int parser_init(struct parser *parser, const char *path, char *text,
		size_t len);
/* Split the next line into words.  There must be one. */
int parser_line(struct parser *parser);
/* Say that the line is not what KVM prints. */
#define parser_damaged(parser, ...) \
	damaged((parser)->path, (parser)->line, __VA_ARGS__)
/* The first line: @title, a version that we know, and @scope. */
int parser_title(struct parser *parser, const char *title, const char *scope);
/* Is @key in the line of keys? */
bool parser_has_key(const struct parser *parser, const char *key);
/* The value of @key, which must be there once.  False if it is not valid. */
bool parser_key_u64(const struct parser *parser, const char *key, uint64_t max,
		    uint64_t *value);
/* The same of a word, into EXIT_WORD_SIZE bytes. */
bool parser_key_word(const struct parser *parser, const char *key, char *word);
/* Find a column that must be there, or if @found is given may be there. */
int parser_column(const struct parser *parser, const char *name, size_t *column,
		  bool *found);
/* Is this text the reason of a row?  "-" is not a number. */
int parser_reason(const struct parser *parser, const char *text, bool *none,
		  uint32_t *reason);

/* Say that @path is not what KVM prints, and why, in @line if that is not 0. */
int damaged(const char *path, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Or say that @path is too new for this program. */
int check_version(const char *path, uint64_t version);

#endif
