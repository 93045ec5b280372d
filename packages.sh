#!/bin/sh
# Install what this machine lacks of sections of packages.txt: packages.sh SECTION[/PACKAGE]...
# or with --print only print all of their packages, for what puts them elsewhere.
#
# Nothing is installed, and apt not even asked, where all of it is found. Another process that
# has apt's locks is waited for.
set -eu
here=$(dirname "$(realpath "$0")")
list=$here/packages.txt
log=$here/build/apt.log

die() {
	echo "packages.sh: $*" >&2
	exit 1
}

# The lines of SECTION[/PACKAGE].
lines() {
	awk -v section="${1%%/*}" -v package="${1#*/}" '
		$1 == section && (package == section || $2 == package) { found = 1; print $0 }
		END { exit !found }' "$list" || die "$list has no $1"
}

# What a thing stands for: the file that a variable names, or the thing itself.
value() {
	case $1 in
	[A-Z]*=*) eval "echo \"\${${1%%=*}:-${1#*=}}\"" ;;
	*) echo "$1" ;;
	esac
}

is_here() {
	thing=$(value "$1")
	case $thing in
	/*) [ -e "$thing" ] ;;
	*.pc) "${PKG_CONFIG:-pkg-config}" --exists "${thing%.pc}" ;;
	*.h) echo "#include <$thing>" | gcc -E -x c - ;;
	*.a | *.so.*) gcc -print-file-name="$thing" | grep / ;;
	*.py) /usr/bin/python3 -c "import importlib.util as u; exit(not u.find_spec('${thing%.py}'))" ;;
	*) command -v "$thing" ;;
	esac >/dev/null 2>&1
}

name() {
	thing=$(value "$1")
	case $1 in
	[A-Z]*=*) echo "file $thing (${1%%=*}= can name another)" ;;
	/*) echo "file $thing" ;;
	*.pc) echo "library ${thing%.pc}" ;;
	*.h) echo "header <$thing>" ;;
	*.a | *.so.*) echo "library $thing" ;;
	*.py) echo "Python module ${thing%.py}" ;;
	*) echo "program $thing" ;;
	esac
}

is_installed() {
	dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# Debian's package cannot bring what somebody named instead.
refuse_other() {
	case $1 in
	*"=$thing" | "$thing") ;;
	*) die "${1%%=*}=$thing is not there" ;;
	esac
}

# What is not here of lines, "PACKAGE NAME" each.
missing() {
	while read -r _ package things; do
		if [ -z "$things" ]; then
			for one in $(echo "$package" | tr '|' ' '); do
				! is_installed "$one" || continue 2
			done
			echo "$package Debian package $package"
		fi
		for one in $things; do
			is_here "$one" || {
				refuse_other "$one"
				echo "$package $(name "$one")"
			}
		done
	done
}

# Of what is missing: what a person calls it, and the packages that bring it.
names() {
	echo "$1" | cut -d ' ' -f 2- | sort -u | paste -s -d , | sed 's/,/, /g'
}

packages() {
	echo "$1" | cut -d ' ' -f 1 | sort -u
}

# Of each A|B the first that apt knows, or the last.
known() {
	for package; do
		# Nothing is shown of what is only named by others.
		while [ "${package%%|*}" != "$package" ] &&
			! apt-cache show "${package%%|*}" 2>/dev/null | grep -q .; do
			package=${package#*|}
		done
		echo "${package%%|*}"
	done
}

# Run apt-get, again for as long as another process has a lock that it needs.
apt_get() {
	said=
	until $sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$log" 2>&1; do
		lock=$(sed -n '/^E: Could not get lock /{s///;s/\. It is held by/, held by/;p;q}' "$log")
		[ "$lock" ] || return 1
		[ "$lock" = "$said" ] || echo "Waiting for the lock $lock ..."
		said=$lock
		sleep 1
	done
}

unfetched() {
	sed -n 's/^[EW]: Failed to fetch \([^ ]*\).*/\1/p' | head -n 1
}

# Why apt-get failed, in one sentence; $1 is what it could not read before.
explain() {
	unknown=$(sed -n "s/^E: Unable to locate package //p
		s/^E: Package '\(.*\)' has no installation candidate/\1/p" "$log" | paste -s -d ' ')
	unfetched=$(unfetched <"$log")
	if [ "$unfetched" ]; then
		die "apt cannot fetch $unfetched: check the network; $log has more"
	elif [ "$unknown" ] && [ "$1" ]; then
		die "apt does not know $unknown, and cannot fetch $1: check the network"
	elif [ "$unknown" ]; then
		die "apt does not know $unknown: see that Debian 12 or 13 is among its sources"
	fi
	die "apt-get says '$(sed -n 's/^E: //p' "$log" | head -n 1)': $log has more"
}

print=
if [ "${1-}" = --print ]; then
	print=y
	shift
fi
[ $# -gt 0 ] || exit 0
for section; do
	lines "$section" >/dev/null
done
all=$(for section; do lines "$section"; done)
if [ "$print" ]; then
	# shellcheck disable=SC2046 # a list
	known $(echo "$all" | awk '{ print $2 }')
	exit
fi
lacking=$(echo "$all" | missing)
[ "$lacking" ] || exit 0
command -v apt-get >/dev/null ||
	die "this machine lacks $(names "$lacking"): install it, as there is no apt-get here to do so"
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	# shellcheck disable=SC2046 # a list
	command -v sudo >/dev/null || die "this machine lacks $(names "$lacking"): as root, run" \
		"apt-get install --no-install-recommends $(known $(packages "$lacking") | paste -s -d ' ')"
fi

mkdir -p "$here/build"
echo "Reading what Debian has ..."
# It may be that the packages are at hand all the same.
apt_get update || :
unread=$(unfetched <"$log")
# shellcheck disable=SC2046 # lists
wanted=$(known $(packages "$lacking") | paste -s -d ' ')
echo "Installing Debian packages: $wanted"
# shellcheck disable=SC2086
apt_get install -y --no-install-recommends $wanted || explain "$unread"
lacking=$(echo "$all" | missing)
[ -z "$lacking" ] || die "this machine still lacks $(names "$lacking"), though apt has installed $wanted:" \
	"see that PATH and other variables do not hide it"
