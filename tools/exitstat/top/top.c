// SPDX-License-Identifier: GPL-2.0
/* 'exitstat top': the terminal, and the loop. */
#include <errno.h>
#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/message.h"
#include "top/details.h"
#include "top/draw.h"
#include "top/keys.h"
#include "top/screen.h"
#include "top/top.h"
#include "top/view.h"

/* Comes last, as it gives others these names. */
#include <term.h>
#undef lines

/* How long a terminal takes for what follows an Esc, in ms. */
#define ESCAPE_DELAY 25

/* Show new numbers. */
static void tick(struct top *top)
{
	if (feed_update(&top->feed, !top->frozen))
		top_check_ended(top);
	top_update_details(top);
	top_update_lines(top);
}

static void fit_to_terminal(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ||
	    !size.ws_col || (size.ws_row == LINES && size.ws_col == COLS))
		return;
	resizeterm(size.ws_row, size.ws_col);
	/* Nothing of the old screen is where it was. */
	clear();
}

/* The signal that ended it, or 0. */
static int run_loop(struct top *top)
{
	uint64_t left = top->options->count;
	struct loop_events events;

	while (!top->quit) {
		fit_to_terminal();
		top_draw(top);
		loop_wait(&top->loop, &events);
		if (events.signal && events.signal != SIGWINCH)
			return events.signal;
		/* Also of one that has its size again by now all has moved. */
		if (events.signal)
			clearok(curscr, true);
		if (events.keys)
			top_read_keys(top);
		if (events.timer) {
			tick(top);
			top->quit |= left && !--left;
		}
	}
	return 0;
}

/* Begin with what the user named. */
static void open_first_view(struct top *top)
{
	const struct exit_selection *named = top->options->sel;
	const struct exit_scan *now = &top->feed.now;
	const struct exit_scope *only = NULL;
	size_t i, nr = 0;

	if (!named->vms && !named->vcpus) {
		top_open(top, VIEW_HOST, VIEW_HOST);
		return;
	}
	for (i = 0; i < now->nr_scopes; i++) {
		if (now->scopes[i].kind == SCOPE_VM) {
			only = &now->scopes[i];
			nr++;
		}
	}
	if (nr != 1) {
		top_open(top, VIEW_VMS, VIEW_VMS);
		return;
	}
	top->vm = *only;
	top->vm.snap = (struct exit_snapshot){};
	top_open(top, named->vcpus ? VIEW_VCPUS : VIEW_VM, VIEW_VMS);
}

/* Needs a screen, and the loop. */
static int run_on_screen(struct top *top)
{
	int signal;

	cbreak();
	noecho();
	nonl();
	keypad(stdscr, true);
	nodelay(stdscr, true);
	curs_set(0);
	top_init_screen(top);

	top_init_views(top);
	top_hurry(top);
	open_first_view(top);
	signal = run_loop(top);
	top_close_details(top);
	free(top->lines);
	return signal;
}

static int check_units(struct top *top)
{
	const struct exit_scope *scope = feed_first(&top->feed.now);
	const struct format *format = &top->options->format;

	top->scaled = format->scaled || (!format->units_given &&
					 clock_tells(&scope->snap.clock, true));
	top->ns = format->units_given ? format->ns :
					clock_tells(&scope->snap.clock, true);
	if (clock_tells(&scope->snap.clock, top->ns))
		return STATUS_OK;
	return fail(STATUS_ERROR,
		    "the TSC's frequency is not known here: use --units %s",
		    top->ns ? "cycles" : "ns");
}

/* NULL, after a message, if this terminal cannot show it. */
static SCREEN *open_screen(void)
{
	const char *type = getenv("TERM");
	SCREEN *screen = NULL;
	int error;

	/* Without a way to move the cursor newterm() would make do. */
	if (setupterm(type, STDOUT_FILENO, &error) == OK) {
		const bool usable = tigetstr("cup");

		del_curterm(cur_term);
		if (usable)
			screen = newterm(type, stdout, stdin);
	}
	if (!screen)
		fail(STATUS_ERROR,
		     "a terminal of type '%s' has no full screen: set TERM to what it is, or use 'exitstat show -d 1'",
		     type);
	return screen;
}

static int run_top(struct top *top)
{
	SCREEN *screen;
	int signal = 0;

	/* SIGTSTP is left to ncurses, which restores the screen after that. */
	if (!loop_open(&top->loop, false)) {
		top->status = fail(STATUS_ERROR, "cannot wait for signals: %s",
				   strerror(errno));
		goto close;
	}
	set_escdelay(ESCAPE_DELAY);
	screen = open_screen();
	if (!screen) {
		top->status = STATUS_ERROR;
		goto close;
	}

	signal = run_on_screen(top);
	endwin();
	delscreen(screen);
	if (top->status)
		fail(top->status, "%s", top->message);
close:
	loop_close(&top->loop);
	loop_raise(signal);
	return top->status;
}

int top_run(struct source *source, const struct top_options *options)
{
	struct top top = {
		.options = options,
		.interval = options->interval ? options->interval :
						DEFAULT_INTERVAL,
	};
	int status = loop_check();

	if (status)
		return status;

	status = feed_start(&top.feed, source, options->sel);
	if (!status)
		status = check_units(&top);
	if (!status)
		status = run_top(&top);
	feed_free(&top.feed);
	return status;
}
