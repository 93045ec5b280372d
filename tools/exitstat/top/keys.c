// SPDX-License-Identifier: GPL-2.0
/* What the keys of 'exitstat top' do. */
#include <limits.h>
#include <ncurses.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/array.h"
#include "top/details.h"
#include "top/keys.h"
#include "top/view.h"

#define CTRL(c) (0x1f & (c))
#define ESCAPE 0x1b
#define DELETE 0x7f

const struct key_help top_key_help[] = {
	{ "1 h", "reasons of the host" },
	{ "2 v", "VMs" },
	{ "3 p", "vCPUs of the VM" },
	{ "Tab", "the next of these" },
	{ "Enter \u2192", "open: a VM, a vCPU, a reason's latencies" },
	{ "Esc \u2190", "back; first ends the filter" },
	{ "l", "how long single exits took" },
	{ "d", "details: which MSR, port, address" },
	{ "e", "explain the reason: what it is, what to do" },
	{ "< >", "sort by another column" },
	{ "r", "reverse the order" },
	{ "/", "filter by number or name" },
	{ "Space", "freeze, and go on" },
	{ "c", "clear: show what is counted from now on" },
	{ "C", "show intervals again" },
	{ "- +", "shorter and longer intervals" },
	{ "u", "times with units, in ns, or in cycles" },
	{ "q", "quit" },
	{},
};

const char *const top_help_text[] = {
	"guest: it ran. handle: KVM worked for it. user: its VMM did. wait: it was idle.",
	"preempted: it had no CPU. lost: handle, user and preempted, of these and guest.",
	NULL,
};

static const uint64_t intervals[] = { 100000000,   200000000,	500000000,
				      1000000000,  2000000000,	5000000000,
				      10000000000, 20000000000, 30000000000,
				      60000000000, 300000000000 };

/* Longer with a positive @step. */
static void change_interval(struct top *top, int step)
{
	const int nr = ARRAY_SIZE(intervals);
	int i;

	if (step > 0) {
		for (i = 0; i < nr && intervals[i] <= top->interval;)
			i++;
	} else {
		for (i = nr - 1; i >= 0 && intervals[i] >= top->interval;)
			i--;
	}
	if (i >= 0 && i < nr) {
		top->interval = intervals[i];
		loop_set_timer(&top->loop, top->interval, top->interval);
	}
	top_say(top, "an interval of %g s", top->interval / 1e9);
}

/* Also what was counted up to now, if that is not read already. */
static void show_now(struct top *top)
{
	if (feed_update(&top->feed, true))
		top_check_ended(top);
	loop_set_timer(&top->loop, top->interval, top->interval);
	top_update_lines(top);
}

static void set_baseline(struct top *top)
{
	top->frozen = false;
	if (!feed_set_baseline(&top->feed))
		return;
	top->since = top->feed.baseline.realtime;
	top_check_ended(top);
	loop_set_timer(&top->loop, top->interval, top->interval);
	top_update_lines(top);
}

static void drop_baseline(struct top *top)
{
	if (!top->feed.has_baseline)
		return;
	top->frozen = false;
	feed_drop_baseline(&top->feed);
	show_now(top);
}

static void toggle_frozen(struct top *top)
{
	top->frozen = !top->frozen;
	if (!top->frozen)
		show_now(top);
}

static void toggle_units(struct top *top)
{
	const struct exit_scope *scope = feed_first(&top->feed.now);
	size_t i;

	/* From scaled to ns, cycles, and scaled again. */
	if (top->scaled) {
		top->scaled = false;
	} else if (!clock_tells(&scope->snap.clock, !top->ns)) {
		top_say(top, "the TSC's frequency is not known here");
		return;
	} else {
		top->scaled = !top->ns;
		top->ns = !top->ns;
	}
	for (i = 0; i < NR_VIEWS; i++)
		memset(top->views[i].widths, 0, sizeof(top->views[i].widths));
	top_update_lines(top);
}

static void next_view(struct top *top)
{
	switch (top->view) {
	case VIEW_HOST:
		top_open(top, VIEW_VMS, VIEW_VMS);
		break;
	case VIEW_VMS:
		if (*top->vm.vm)
			top_open(top, VIEW_VM, VIEW_VMS);
		else
			top_open(top, VIEW_HOST, VIEW_HOST);
		break;
	case VIEW_VM:
		top_open_vcpus(top);
		break;
	default:
		top_open(top, VIEW_HOST, VIEW_HOST);
		break;
	}
}

/* True if the key was one of these; of a histogram, it moves that. */
static bool move_key(struct top *top, wint_t key)
{
	const long page = top->page ? top->page : 1;

	switch (key) {
	case KEY_UP:
	case 'k':
		top_move(top, -1);
		return true;
	case KEY_DOWN:
	case 'j':
		top_move(top, 1);
		return true;
	case KEY_PPAGE:
		if (!top->histogram)
			top_move(top, -page);
		else
			top->histogram_first -= top->histogram_first <
								top->page ?
							top->histogram_first :
							top->page;
		return true;
	case KEY_NPAGE:
		if (!top->histogram)
			top_move(top, page);
		else
			top->histogram_first += top->page;
		return true;
	case KEY_HOME:
	case 'g':
		top_move(top, -(long)top->nr_lines);
		return true;
	case KEY_END:
	case 'G':
		top_move(top, top->nr_lines);
		return true;
	}
	return false;
}

static bool view_key(struct top *top, wint_t key)
{
	switch (key) {
	case '1':
	case 'h':
		top_open(top, VIEW_HOST, VIEW_HOST);
		return true;
	case '2':
	case 'v':
		top_open(top, VIEW_VMS, VIEW_VMS);
		return true;
	case '3':
	case 'p':
		top_open_vcpus(top);
		return true;
	case '\t':
		next_view(top);
		return true;
	case KEY_ENTER:
	case KEY_RIGHT:
	case '\n':
	case '\r':
		if (top->histogram)
			top_show_histogram(top, false);
		else
			top_enter(top);
		return true;
	case KEY_BACKSPACE:
	case KEY_LEFT:
	case CTRL('h'):
	case DELETE:
	case ESCAPE:
		top_back(top);
		return true;
	case 'l':
		top_show_histogram(top, !top->histogram);
		return true;
	}
	return false;
}

static void other_key(struct top *top, wint_t key)
{
	struct view_state *view = &top->views[top->view];

	switch (key) {
	case '<':
	case ',':
		top_move_sort(top, -1);
		break;
	case '>':
	case '.':
		top_move_sort(top, 1);
		break;
	case 'r':
		view->reverse = !view->reverse;
		top_update_lines(top);
		break;
	case '/':
		top->histogram = false;
		top->editing = true;
		break;
	case ' ':
		toggle_frozen(top);
		break;
	case 'c':
		set_baseline(top);
		break;
	case 'C':
		drop_baseline(top);
		break;
	case '+':
	case '=':
		change_interval(top, 1);
		break;
	case '-':
		change_interval(top, -1);
		break;
	case 'u':
		toggle_units(top);
		break;
	case 'd':
		top_open_details(top);
		break;
	case 'e':
		if (top_has_reasons(top))
			top->explanation = true;
		else
			top_say(top, "choose a reason first: Enter");
		break;
	case '?':
	case KEY_F(1):
		top->help = true;
		break;
	case 'q':
	case KEY_F(10):
		top->quit = true;
		break;
	}
}

static void append(char *filter, wint_t key)
{
	char text[MB_LEN_MAX];
	mbstate_t state = {};
	size_t len = wcrtomb(text, key, &state);
	size_t old = strlen(filter);

	if (len == (size_t)-1 || old + len >= FILTER_SIZE)
		return;
	memcpy(filter + old, text, len);
	filter[old + len] = '\0';
}

/* The last character, which in UTF-8 may have several bytes. */
static void drop_last(char *filter)
{
	size_t len = strlen(filter);

	while (len && ((unsigned char)filter[--len] & 0xc0) == 0x80)
		;
	filter[len] = '\0';
}

static void edit_key(struct top *top, int kind, wint_t key)
{
	char *filter = top->views[top->view].filter;

	if (key == ESCAPE && kind == OK) {
		*filter = '\0';
		top->editing = false;
	} else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		top->editing = false;
	} else if (key == KEY_BACKSPACE || key == CTRL('h') || key == DELETE) {
		drop_last(filter);
	} else if (kind == KEY_CODE_YES) {
		move_key(top, key);
	} else if (iswprint(key)) {
		append(filter, key);
	}
	top_update_lines(top);
}

/* While details are looked at. */
static void details_key(struct top *top, wint_t key)
{
	switch (key) {
	case 'q':
	case KEY_F(10):
		top->quit = true;
		break;
	case 'e':
		top->explanation = true;
		break;
	case '?':
		top->help = true;
		break;
	case ' ':
		toggle_frozen(top);
		break;
	case 'd':
	case ESCAPE:
	case KEY_LEFT:
	case KEY_BACKSPACE:
		top_close_details(top);
		break;
	}
}

static void handle_key(struct top *top, int kind, wint_t key)
{
	*top->message = '\0';
	if (top->help || top->explanation) {
		top->help = top->explanation = false;
		top->quit = key == 'q';
	} else if (top->details) {
		details_key(top, key);
	} else if (top->editing) {
		edit_key(top, kind, key);
	} else if (!move_key(top, key) && !view_key(top, key)) {
		other_key(top, key);
	}
}

void top_read_keys(struct top *top)
{
	wint_t key;
	int kind;

	while (!top->quit && (kind = get_wch(&key)) != ERR) {
		if (kind == KEY_CODE_YES && key == KEY_RESIZE)
			continue;
		handle_key(top, kind, key);
	}
}
