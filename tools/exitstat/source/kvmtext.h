/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_PARSE_H
#define EXITSTAT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pieces of what the kernel prints.  False if @text is not one as a whole. */

/* decimal digits, up to @max */
bool parse_u64(const char *text, uint64_t max, uint64_t *value);
/* letters and digits, into EXIT_WORD_SIZE bytes */
bool parse_word(const char *text, char *word);
/* an exit reason's name, into EXIT_NAME_SIZE bytes */
bool parse_name(const char *text, char *name);

/*
 * The kernel's texts: a line of key=value, a line of column names, and rows of
 * as many cells.
 */
#define MAX_WORDS 128

struct parser {
	const char *path;
	/* what follows the current line */
	char *next;
	unsigned int line;
	char *words[MAX_WORDS];
	size_t nr_words;
};

/* The source, for the functions below to split; with its '\0' at @len. */
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
bool parser_key_word(const struct parser *parser, const char *key, char *word);
/* Find a column that must be there, or if @found is given may be there. */
int parser_column(const struct parser *parser, const char *name, size_t *column,
		  bool *found);
/* Is this text the reason of a row?  "-" is not a number. */
int parser_reason(const struct parser *parser, const char *text, bool *none,
		  uint32_t *reason);

/*
 * Say that @path is not what KVM prints, and why, in @line if that is not 0;
 * returns STATUS_ERROR.
 */
int damaged(const char *path, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* STATUS_OK, or a message that @path is too new for this program. */
int check_version(const char *path, uint64_t version);

#endif
