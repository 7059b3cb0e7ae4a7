/* The runs of a person's device: archive, clean, purge, undo. Killed at any step, by a mishap. */

#define STEP if :: true :: mishaps > 0 -> mishaps--; goto idle fi

inline arrive(i, day) {
    it.there[i] = true;
    it.date[i] = day;
#ifdef ONE_DATA_KEY     /* not random: another source of the same scope, name and listing has it too */
    for (k : 0 .. ATTEMPTS - 1) {
        if :: attempt[k].source != s && attempt[k].version == it.version -> attempt[k].there[i] = false :: else fi
    }
    k = 0
#endif
}

inline commit(x) {
    claim(whole(x) && attempt[x].version != TORN);
    attempt[x].committed = true;
#ifdef ONE_MANIFEST_KEY /* the key follows from the listing, and the server ignores create-only writes */
    for (k : 0 .. ATTEMPTS - 1) {
        if :: k != x && attempt[k].version == attempt[x].version -> attempt[k].committed = false :: else fi
    }
    k = 0
#endif
}

inline list_manifests() {   /* n is this source's newest that is seen */
    do
    :: k < made ->
        atomic {
            STEP;
            if
            :: attempt[k].committed && attempt[k].source == s &&
               (n == NONE || attempt[k].number > attempt[n].number) -> n = k
            :: HIDDEN && attempt[k].committed
            :: else
            fi;
            k++
        }
    :: else -> k = 0; break
    od
}

inline look_at(x) {         /* the manifest is read, each object asked about */
    atomic { STEP; if :: attempt[x].committed -> relies[r] = x :: else -> goto idle fi };
    atomic { STEP; if :: attempt[x].there[0] :: else -> goto idle fi };
    atomic { STEP; if :: rest(x) :: else -> goto idle fi }
}

inline begin(i) {           /* the item is read, and the request begun */
    atomic {
        STEP;
        if
        :: has[i]
        :: else ->
            begun[i] = now;
            it.in_parts[i] = false;
            if :: home[s] != it.version -> it.version = TORN :: else fi;
            if :: true :: MAY_BE_IN_PARTS(i) -> it.in_parts[i] = true fi
        fi
    }
}

inline finish(i) {
    atomic {
        STEP;
        if
        :: !has[i] && (it.in_parts[i] || IN_TIME(begun[i])) ->
            arrive(i, begun[i]);
            if :: has[i] = true :: mishaps > 0 -> mishaps-- fi
        :: else
        fi;
        begun[i] = 0
    }
}

inline put_copy() {
    atomic { STEP; begun[0] = now };
    do
    :: atomic { IN_TIME(begun[0]) -> STEP; arrive(COPY, begun[0]); begun[0] = 0 }; break
    :: atomic { !IN_TIME(begun[0]) -> STEP; begun[0] = now }
    od
}

inline look_at_item_again() {
    atomic { STEP; if :: home[s] == it.version :: else -> sent = NONE; goto idle fi }
}

inline compare() {          /* what differs is put back */
    atomic {
        STEP;
        if
        :: aside_by[s] == n && !same(aside[s], attempt[n].version) ->
            home[s] = aside[s]; aside[s] = 0; aside_by[s] = NONE; goto idle
        :: else
        fi
    }
}

proctype Run(byte r; byte s) {
    byte sent = NONE, highest;
    byte a, n, k, begun[OBJECTS];
    bool has[OBJECTS], ok;

idle:   /* the end of a run, whether it was done or killed: what it had in memory is gone */
    atomic {
        a = 0; n = NONE; k = 0; ok = false; relies[r] = NONE;
        begun[0] = 0; begun[1] = 0; begun[OBJECTS - 1] = 0; has[0] = false; has[1] = false; has[OBJECTS - 1] = false
    };
    do
    :: home[s] -> goto archiving
    :: home[s] && made -> goto cleaning
    :: aside[s] -> goto purging
    :: atomic { aside[s] && !home[s] -> home[s] = aside[s]; aside[s] = 0; aside_by[s] = NONE }     /* undo */
    od;

archiving:
    list_manifests();
    atomic {
        if
        :: home[s] == 0 -> goto idle
        :: n != NONE && attempt[n].number >= used && attempt[n].version == home[s]
        :: else -> goto sending
        fi
    };
#ifndef ALREADY_BY_MEMORY
    look_at(n);
    atomic { if :: fresh(r, n) :: else -> goto idle fi;
#else
    atomic {
#endif
    claim(attempt[n].committed && whole(n)); sent = NONE; goto idle };

sending:
    atomic {
        STEP;
        if
        :: sent != NONE && attempt[sent].version == home[s] ->          /* resume: what is listed is not sent again */
            a = sent;
            has[0] = it.there[0]; has[1] = it.there[1]; has[OBJECTS - 1] = it.there[OBJECTS - 1]
        :: made < ATTEMPTS && home[s] ->
            a = made; made++; sent = a;
            it.source = s; it.version = home[s]; it.begun = now;
            it.number = (n == NONE -> 1 : attempt[n].number + 1);
            if :: it.number <= used -> it.number = highest + 1 :: else fi;
            highest = it.number
        :: else -> goto idle
        fi;
        n = NONE
    };
    do
    :: sent_all -> break
    :: else ->
        begin(0); finish(0); begin(1);
#if OBJECTS > 2
        begin(2); finish(2);
#endif
        finish(1)
    od;
#ifdef COPY_BEFORE_LOOK     /* an item that was written meanwhile is found after its copy is in the target */
    put_copy();
    look_at_item_again();
#else
    look_at_item_again();
    put_copy();
#endif
    atomic { STEP; relies[r] = a; ok = listed(it.there[0]) };
    atomic {
        STEP;
        if
        :: ok && listed(rest(a) && it.there[COPY]) && no_gap(a) && unmarked(a)
        :: else -> sent = NONE; goto idle
        fi
    };
    atomic { STEP; if :: fresh(r, a) -> commit(a) :: else -> goto idle fi };
    atomic { STEP; sent = NONE; goto idle };

cleaning:
    list_manifests();
    atomic {
        if
#ifdef CLEAN_BY_ANY         /* whatever archive has the same listing, of whomever, however old */
        :: for (k : 0 .. made - 1) {
               if :: attempt[k].committed && attempt[k].version == home[s] -> n = k :: else fi
           };
           k = 0;
           if :: home[s] && n != NONE :: else -> goto idle fi
#else
        :: home[s] && n != NONE && attempt[n].number >= used && attempt[n].version == home[s]
        :: else -> goto idle
#endif
        fi
    };
    look_at(n);
    atomic {
        STEP;
        if :: home[s] && !aside[s] -> aside[s] = home[s]; home[s] = 0; aside_by[s] = n :: else -> goto idle fi
    };
    compare();
    if :: goto freeing :: goto idle fi;

purging:
    atomic { if :: aside[s] -> n = aside_by[s] :: else -> goto idle fi };
#ifndef PURGE_BY_MEMORY
    look_at(n);
#endif
    compare();

freeing:
    atomic {
        STEP;
        if
        :: aside_by[s] == n && same(aside[s], attempt[n].version) && fresh_to_purge(r, n) ->
            aside[s] = 0; aside_by[s] = NONE; gone_by[s] = n
        :: else
        fi;
        goto idle
    }
}
