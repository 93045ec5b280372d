// SPDX-License-Identifier: GPL-2.0
/*
 * 'exitstat top' of the static program, which goes to guests that have neither
 * ncurses nor terminfo: the tables of 'exitstat show', again and again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/array.h"
#include "base/message.h"
#include "base/text.h"
#include "top/feed.h"
#include "top/loop.h"
#include "top/top.h"
#include "view/lines.h"
#include "view/scan_table.h"

/* What every terminal understands that moves its cursor at all. */
#define TO_TOP "\033[H"
#define TO_LINE_END "\033[K"
#define TO_SCREEN_END "\033[J"
#define BEGIN "\033[?1049h\033[?25l"
#define END "\033[?25h\033[?1049l"

static const char *const sorts[] = {
	"LOST_CYCLES",	    "HANDLE_CYCLES", "EXITS",
	"CYCLES/EXIT",	    "USER_CYCLES",   "WAIT_CYCLES",
	"PREEMPTED_CYCLES", "REASON",	     "NAME",
};

struct plain {
	struct format format;
	struct top_feed feed;
	struct top_loop loop;
	struct termios termios;
	size_t sort;
	bool reverse;
	bool frozen;
	uint64_t interval, count;
	char order[64];
};

static void begin_screen(struct plain *plain)
{
	struct termios termios = plain->termios;

	termios.c_lflag &= ~(ICANON | ECHO);
	termios.c_cc[VMIN] = 0;
	termios.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &termios);
	fputs(BEGIN, stdout);
}

static void end_screen(struct plain *plain)
{
	fputs(END, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &plain->termios);
}

/* Print @text, as much as the window has room for. */
static void print_window(const char *text, int rows, int columns)
{
	char line[2048], copy[2048];
	size_t len;

	for (; *text && rows > 0; rows--) {
		len = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		text_fit(copy, sizeof(copy), line, columns);
		printf("%s" TO_LINE_END "\r\n", copy);
		text += len + (text[len] == '\n');
	}
}

static void print_status(const struct plain *plain, int rows, int columns)
{
	const struct top_feed *feed = &plain->feed;
	char line[MESSAGE_SIZE + 256], copy[sizeof(line)];

	if (*feed->error)
		snprintf(line, sizeof(line), "%s", feed->error);
	else
		snprintf(
			line, sizeof(line),
			"%s%sby %s%s | q quit, s sort, r reverse, space freeze, c clear, C intervals",
			plain->frozen ? "FROZEN " : "",
			feed->has_baseline ? "SINCE c WAS PRESSED " : "",
			sorts[plain->sort], plain->reverse ? ", reversed" : "");
	text_fit(copy, sizeof(copy), line, columns - 1);
	printf("\033[%d;1H%s" TO_LINE_END, rows, copy);
}

static void draw(struct plain *plain)
{
	struct winsize size;
	char *text = NULL;
	size_t len;
	FILE *memory;
	bool begun = false, ok = false;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ||
	    !size.ws_col)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };

	snprintf(plain->order, sizeof(plain->order), "%s%s",
		 plain->reverse ? "-" : "", sorts[plain->sort]);
	plain->format.sort = plain->order;
	memory = open_memstream(&text, &len);
	if (memory) {
		ok = print_scan_table(memory, &plain->format,
				      &plain->feed.shown, &begun);
		ok = !fclose(memory) && ok;
	}

	fputs(TO_TOP, stdout);
	if (ok)
		print_window(text, size.ws_row - 1, size.ws_col);
	fputs(TO_SCREEN_END, stdout);
	print_status(plain, size.ws_row, size.ws_col);
	fflush(stdout);
	free(text);
}

/* False if the user wants to quit. */
static bool handle_key(struct plain *plain, char key)
{
	switch (key) {
	case 'q':
		return false;
	case 's':
		plain->sort = (plain->sort + 1) % ARRAY_SIZE(sorts);
		plain->reverse = false;
		break;
	case 'r':
		plain->reverse = !plain->reverse;
		break;
	case ' ':
		plain->frozen = !plain->frozen;
		break;
	case 'c':
		plain->frozen = false;
		feed_set_baseline(&plain->feed);
		break;
	case 'C':
		feed_drop_baseline(&plain->feed);
		break;
	}
	return true;
}

/* The signal that ended it, or 0. */
static int run_loop(struct plain *plain)
{
	uint64_t left = plain->count;
	struct loop_events events;
	char key;

	for (;;) {
		draw(plain);
		loop_wait(&plain->loop, &events);
		if (events.signal == SIGTSTP) {
			end_screen(plain);
			raise(SIGSTOP);
			begin_screen(plain);
		} else if (events.signal && events.signal != SIGWINCH) {
			return events.signal;
		}
		while (events.keys && read(STDIN_FILENO, &key, 1) == 1) {
			if (!handle_key(plain, key))
				return 0;
		}
		if (!events.timer)
			continue;
		feed_update(&plain->feed, !plain->frozen);
		if (left && !--left)
			return 0;
	}
}

int top_run(struct source *source, const struct top_options *options)
{
	struct plain plain = {
		.format = options->format,
		.interval = options->interval ? options->interval :
						DEFAULT_INTERVAL,
		.count = options->count,
	};
	int signal, status = loop_check();

	if (status)
		return status;
	status = feed_start(&plain.feed, source, options->sel);
	if (status || tcgetattr(STDIN_FILENO, &plain.termios))
		goto out;
	/* Here are tables of the host, or of what the user named. */
	plain.feed.sel = *options->sel;
	plain.feed.sel.may_have_ended = true;
	plain.feed.details.vms = true;
	scan_free(&plain.feed.shown);
	plain.feed.begin = true;
	feed_update(&plain.feed, false);
	/* A guest is told of no other time than handle. */
	if (plain.feed.now.nr_scopes &&
	    !column_is_useful(COL_LOST, &plain.feed.now.scopes->snap))
		plain.sort = 1;
	plain.format.ns = plain.format.ns && plain.feed.now.nr_scopes &&
			  clock_tells(&plain.feed.now.scopes->snap.clock, true);

	if (!loop_open(&plain.loop, true)) {
		status = fail(STATUS_ERROR, "cannot wait for signals: %s",
			      strerror(errno));
		goto close;
	}
	loop_set_timer(&plain.loop, FIRST_INTERVAL, plain.interval);
	begin_screen(&plain);
	signal = run_loop(&plain);
	end_screen(&plain);
	loop_close(&plain.loop);
	loop_raise(signal);
	feed_free(&plain.feed);
	return STATUS_OK;
close:
	loop_close(&plain.loop);
out:
	feed_free(&plain.feed);
	return status;
}
