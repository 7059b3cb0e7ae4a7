/*
 * Archive, commit, clean, purge, undo, repair and prune by several devices on one target. tests/project/test_models.py has SPIN
 * check it, scene by scene. Each rule has a switch that leaves out just this rule (NO_GAP_RULE, PURGE_BY_MEMORY and so
 * on); then SPIN must find a history in which bytes are lost, or something wrong is claimed or restored.
 *
 * WORDS
 *   source    a device and a root. It has one item, in version 1 or 2; 0 is "nothing there"
 *   attempt   one way of an item into the target: data objects, then the copy of the manifest, then the manifest
 *   begun     the store's date when the attempt began: journalled before its first object, and in the manifest
 *   in parts  an object that is dated by its first request, as S3 dates multipart uploads, however long ago that was
 *   step      what nothing interrupts. Between two steps of a process others act, and any time may pass: suspended
 *             processes are slow ones. The variables of a run are its memory, but for `sent` and `highest`: they are
 *             its journal, which survives a kill
 *   mishap    a run is killed; or a request arrives and its answer does not, so that it is sent again, over what is
 *             there (a server may ignore create-only writes)
 *   relies    which archive a process has fresh evidence of; a tick of the clock makes all evidence old
 *   hide      a listing leaves out a manifest or a copy, as often as it likes. Data objects are always listed
 *   accident  something in the target is lost by no fault of ours, once; but nothing that somebody relies on by then
 *
 * TIME is the store's, in halves (WEEK 2) or thirds (WEEK 3) of a week. It jumps whenever it likes.
 *
 * MUST HOLD in every state
 *   kept      each source's item is at home, or aside, or whole in a committed archive that this source cleaned by
 *   restored  the newest archive of a source that cleaned its item has the version that was cleaned
 *   claimed   what is committed, or said to be archived already, is whole at that moment, and not torn
 *
 * LEFT OUT: contents and checksums (a version is a number), packs, sizes, storage classes and guards; a dead process's
 * request that arrives after its next run has begun; the loss of a journal; formats 1 and 2; names, vault.json and
 * --max-share; marks that a long upload is alive (they are objects like others); the limit of 7 days to resume, since a
 * device's clock may be wrong: here an attempt is resumed at any age. An act within minutes of its evidence is one step
 * with it: no protocol prevents an accident in between. Only safety is checked, not that a run ever ends or that a
 * leftover is ever removed.
 *
 * FOUND WITH IT, beside what the switches show. The first listing of manifests, and the copy in the listing of data,
 * are needless where prune asks for the copy by HEAD and lists manifests again: they only save requests. Prune may be
 * suspended for any time between its look and its removals: a limit there (PRUNES_AT_ONCE) replaces no rule but that
 * the date is asked for before the listing. Two runs of one source at once, while the user writes, lose nothing, but
 * can leave an older version as the newest archive.
 */

/* ---- the scene: who takes part, and how much of everything there is --------------------------------------------- */

#ifndef RUNS
#define RUNS 1      /* processes of people's devices: 2 are two sources, or two runs of one */
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef OBJECTS
#define OBJECTS 2   /* data objects of an attempt */
#endif
#ifndef MISHAPS
#define MISHAPS 1
#endif
#ifndef WEEK
#define WEEK 2      /* ticks of the clock */
#endif
#ifndef LAST
#define LAST 5      /* when time ends */
#endif

#ifdef HIDE
#define HIDDEN true
#else
#define HIDDEN false
#endif
#ifdef SLOW         /* a request may take most of a week; one in parts any time */
#define IN_TIME(begun) (now - begun < WEEK)
#define MAY_BE_IN_PARTS(i) (i > 0)
#else
#define IN_TIME(begun) (now == begun)
#define MAY_BE_IN_PARTS(i) false
#endif

#define COPY OBJECTS
#define NONE 7
#define TORN 3
#define REPAIRER 2  /* places in `relies`, after those of the runs */
#define PRUNER 3

/* ---- what there is ---------------------------------------------------------------------------------------------- */

typedef Attempt {
    byte source, version, number, begun, date[OBJECTS + 1];
    bool there[OBJECTS + 1], in_parts[OBJECTS + 1], committed, marked
}
Attempt attempt[ATTEMPTS];
byte made;                                  /* attempts so far */
byte now;
byte item[2], home[2], aside[2];            /* versions: the user's last one, at home, set aside */
byte aside_by[2], gone_by[2];               /* archives by which it was set aside, or purged */
byte relies[4];
byte mishaps = MISHAPS;

#define it attempt[a]
#if OBJECTS == 2
#define whole(x) (attempt[x].there[0] && attempt[x].there[1])
#define rest(x) attempt[x].there[1]
#define follows_any(x, day) (follows(x, day, 0) || follows(x, day, 1))
#define links_each(x) (links(x, 0) && links(x, 1))
#define sent_all (has[0] && has[1])
#else
#define whole(x) (attempt[x].there[0] && attempt[x].there[1] && attempt[x].there[2])
#define rest(x) (attempt[x].there[1] && attempt[x].there[2])
#define follows_any(x, day) (follows(x, day, 0) || follows(x, day, 1) || follows(x, day, 2))
#define links_each(x) (links(x, 0) && links(x, 1) && links(x, 2))
#define sent_all (has[0] && has[1] && has[2])
#endif

/* ---- who acts --------------------------------------------------------------------------------------------------- */

#include "rules.pml"
#include "run.pml"
#include "upkeep.pml"

proctype User() {       /* writes; then puts back what was, with its old times */
    atomic { home[0] == 1 -> home[0] = 2; item[0] = 2 };
    atomic { home[0] == 2 -> home[0] = 1; item[0] = 1 }
}

#define unneeded(s) (gone_by[s] != a)
proctype Accident() {
    byte a;
    atomic {
        made > 0;
        pick();
        relies[0] != a && relies[1] != a && relies[REPAIRER] != a;
        if
        :: it.there[COPY] = false
        :: unneeded(0) && unneeded(1) -> if :: it.there[0] = false :: it.there[1] = false :: it.committed = false fi
        fi
    }
}

inline old_is_all_evidence() {
    relies[0] = NONE; relies[1] = NONE; relies[REPAIRER] = NONE; relies[PRUNER] = NONE
}

proctype Clock() {
    do
    :: atomic { made && now < LAST -> now++; old_is_all_evidence() }
    od
}

/* ---- what must hold --------------------------------------------------------------------------------------------- */

#define its(s) attempt[gone_by[s]]
#define kept(s) (gone_by[s] == NONE || (its(s).committed && whole(gone_by[s]) && its(s).version == item[s]))
#define older(s, x) (!attempt[x].committed || attempt[x].source != s || attempt[x].version == item[s] \
    || attempt[x].number < its(s).number)
#define restored(s) (gone_by[s] == NONE \
    || (its(s).source == s && older(s, 0) && older(s, (ATTEMPTS > 1 -> 1 : 0)) && older(s, ATTEMPTS - 1)))

#define was(i) (attempt[0].date[i] > 0)
#define its_days(i) (attempt[0].date[COPY] - attempt[0].date[i])

proctype Watch() {
    do
    :: !(must_keep(0) && must_keep(1) && must_restore(0) && must_restore(1)) -> assert(false)
    /* What must be seen, for else nothing follows from what holds; tests/project/test_models.py says in which scene. */
#ifdef SIGHTS
    :: atomic { (attempt[0].committed && attempt[0].date[COPY] - attempt[0].begun >= GRACE) -> printf("a long upload") }
    :: atomic { (attempt[0].committed && attempt[0].in_parts[1] && its_days(1) >= WEEK) -> printf("long in parts") }
    :: atomic { (whole(0) && attempt[0].there[COPY] && !no_gap(0)) -> printf("refused for a gap") }
    :: atomic { (was(0) && !attempt[0].there[0] && attempt[0].there[COPY]) -> printf("pruned before its copy") }
    :: atomic { (gone_by[0] == 0 && now - attempt[0].date[COPY] >= GRACE) -> printf("freed, and old") }
    :: atomic { (mishaps == 0 && gone_by[0] == 0) -> printf("freed after a mishap") }
    :: atomic { (attempt[0].committed && relies[REPAIRER] == 0) -> printf("repaired") }
    :: atomic { (attempt[0].committed && !whole(0) && gone_by[0] == 1) -> printf("sent again, and freed") }
    :: atomic { (gone_by[0] != NONE && gone_by[1] != NONE) -> printf("two sources freed") }
    :: atomic { (attempt[ATTEMPTS - 1].committed && gone_by[0] < ATTEMPTS - 1) -> printf("archived twice") }
    :: atomic { (gone_by[0] == 2) -> printf("freed after two changes") }
    :: atomic { (attempt[0].version == TORN) -> printf("torn") }
#endif
    od
}

init {
    atomic {
        old_is_all_evidence();
        item[0] = 1; home[0] = 1; aside_by[0] = NONE; gone_by[0] = NONE;
        item[1] = 1; aside_by[1] = NONE; gone_by[1] = NONE;
        run Watch();
        run Clock();
        run Run(0, 0);
#if RUNS > 1
        if :: run Run(1, 0) :: home[1] = 1; run Run(1, 1) fi;
#endif
#ifdef PRUNES
        run Prune();
#endif
#ifdef REPAIRS
        run Repair();
#endif
#ifdef WRITES
        run User();
#endif
#ifdef ACCIDENTS
        run Accident();
#endif
    }
}
