// SPDX-License-Identifier: GPL-2.0
/* The table of 'exitstat top'. */
#include <ncurses.h>

#include "base/text.h"
#include "top/screen.h"
#include "top/table.h"
#include "top/view.h"

/* Columns that name a line are always shown, the others as there is room. */
static bool is_name(int id)
{
	return id == COL_REASON || id == COL_NAME || id == COL_VM ||
	       id == COL_VM_NAME || id == COL_VCPU;
}

static void get_text(const struct top *top, size_t line, size_t column,
		     char *text, size_t size)
{
	struct cell cell = {};

	top->layout.table->get(&top->lines[line],
			       top->layout.columns[column]->id, &cell);
	if (top->layout.scaled)
		cell_format_scaled(&cell, text, size);
	else
		cell_format(&cell, text, size);
}

static void measure_columns(struct top *top)
{
	int *widths = top->views[top->view].widths;
	char text[CELL_SIZE];
	size_t i, j;
	int width;

	for (j = 0; j < top->layout.nr_columns; j++) {
		layout_heading(&top->layout, j, text);
		width = text_width(text);
		if (widths[j] < width)
			widths[j] = width;
		for (i = 0; i < top->nr_lines; i++) {
			get_text(top, i, j, text, sizeof(text));
			width = text_width(text);
			if (widths[j] < width)
				widths[j] = width;
		}
	}
}

struct table_place {
	int x[MAX_COLUMNS];
	/* 0 if it is not on the screen */
	int width[MAX_COLUMNS];
};

static void place_columns(const struct top *top, size_t first, size_t nr_names,
			  struct table_place *place)
{
	const struct layout *layout = &top->layout;
	const int *widths = top->views[top->view].widths;
	/* behind the mark of what is new */
	int x = 1, width;
	size_t j;

	*place = (struct table_place){};
	for (j = 0; j < layout->nr_columns; j++) {
		if (j >= nr_names && j < first)
			continue;
		width = widths[j];
		/* Some names are longer than they need to be. */
		if (j < nr_names && layout->columns[j]->text &&
		    width > COLS / 3 && width > 8)
			width = COLS / 3 > 8 ? COLS / 3 : 8;
		if (x + width > COLS)
			break;
		place->x[j] = x;
		place->width[j] = width;
		x += width + 1;
	}
}

/* Where columns are so that the one that sorts is among them. */
static void scroll_columns(const struct top *top, struct table_place *place)
{
	const struct layout *layout = &top->layout;
	size_t nr_names = 0, first, sorted;

	while (nr_names < layout->nr_columns &&
	       is_name(layout->columns[nr_names]->id))
		nr_names++;
	for (sorted = 0; sorted < layout->nr_columns; sorted++) {
		if (layout->columns[sorted] == top->views[top->view].sort)
			break;
	}

	first = nr_names;
	place_columns(top, first, nr_names, place);
	while (sorted < layout->nr_columns && !place->width[sorted] &&
	       first < sorted)
		place_columns(top, ++first, nr_names, place);
}

static void put_cell(int y, int x, int width, int attributes, bool text_column,
		     const char *text)
{
	const int room = text_column ? 0 : width - text_width(text);

	top_put(y, x + (room > 0 ? room : 0), width, attributes, text);
}

static void draw_headings(const struct top *top, int y,
			  const struct table_place *place)
{
	const struct layout *layout = &top->layout;
	const int heading = top_attributes(top, INK_HEADING);
	const int sorted = top_attributes(top, INK_SORTED);
	char text[CELL_SIZE];
	size_t j;

	attrset(heading);
	mvhline(y, 0, ' ', COLS);
	attrset(A_NORMAL);
	for (j = 0; j < layout->nr_columns; j++) {
		layout_heading(layout, j, text);
		if (place->width[j])
			put_cell(y, place->x[j], place->width[j],
				 layout->columns[j] ==
						 top->views[top->view].sort ?
					 sorted :
					 heading,
				 layout->columns[j]->text, text);
	}
}

static void draw_line(const struct top *top, int y, size_t i,
		      const struct table_place *place)
{
	const struct view_state *view = &top->views[top->view];
	const bool at_cursor = i == view->cursor;
	const int attributes = at_cursor ? top_attributes(top, INK_CURSOR) : 0;
	char text[CELL_SIZE];
	size_t j;

	if (at_cursor) {
		attrset(attributes);
		mvhline(y, 0, ' ', COLS);
		attrset(A_NORMAL);
	}
	if (!top_has_reasons(top) && top->lines[i].scope->is_new)
		top_put(y, 0, 1, attributes | A_BOLD, "+");
	for (j = 0; j < top->layout.nr_columns; j++) {
		const struct column *column = top->layout.columns[j];

		if (!place->width[j])
			continue;
		get_text(top, i, j, text, sizeof(text));
		put_cell(y, place->x[j], place->width[j],
			 column == view->sort ? attributes | (int)A_BOLD :
						attributes,
			 column->text, text);
	}
}

/* Why there is no line. */
static const char *nothing(const struct top *top)
{
	const struct exit_scope *scope = top_scope(top, &top->feed.shown);

	if (top->nr_filtered)
		return "Nothing has what the filter says: Esc ends it.";
	/* The first numbers are still to come. */
	if (!top->feed.shown.interval)
		return "";
	if (top->view == VIEW_VMS)
		return "No VM is running.";
	if (top->view == VIEW_VCPUS || !scope)
		return top->frozen ?
			       "Not read yet: the space bar ends the freeze." :
			       "";
	return "No exits.";
}

void top_draw_table(struct top *top, int y, int height)
{
	const struct view_state *view = &top->views[top->view];
	struct table_place place;
	int i;

	measure_columns(top);
	scroll_columns(top, &place);
	draw_headings(top, y, &place);
	if (!top->nr_lines)
		top_put(y + 1, 1, -1, A_NORMAL, nothing(top));
	for (i = 0; i < height - 1 && view->first + i < top->nr_lines; i++)
		draw_line(top, y + 1 + i, view->first + i, &place);
}
