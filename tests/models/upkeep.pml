/* Prune and repair, which any device may run; neither needs a memory. */

inline pick() { a = 0; do :: a + 1 < made -> a++ :: break od }

inline see(i) {
    if
    :: it.there[i] ->
        found[i] = true;
#ifdef DATE_AFTER_LIST      /* the store's date of today is asked for when everything is listed */
        if :: it.date[i] > newest -> newest = it.date[i] :: else fi
#else
        if :: it.date[i] + GRACE > today -> young = true :: else fi
#endif
    :: else
    fi
}

proctype Prune() {
    byte a, i, newest, today;
    bool found[OBJECTS + 1], young;

again:
    atomic {
        relies[PRUNER] = NONE;
        a = 0; i = 0; newest = 0; today = 0; young = false;
        found[0] = false; found[1] = false; found[OBJECTS - 1] = false; found[COPY] = false
    };
    atomic { made > 0; pick(); !it.committed || HIDDEN; start(a) };    /* manifests are listed */
#if defined(OWN_CLOCK)
    atomic { today = now + GRACE };
#elif !defined(DATE_AFTER_LIST)
    atomic { today = now };
#endif
    atomic { see(0) };                                                  /* data are listed, in two pages */
    atomic { see(1); see(OBJECTS - 1); if :: true -> see(COPY) :: HIDDEN fi; today = 0 };
#ifdef DATE_AFTER_LIST
    atomic { young = newest + GRACE > now; newest = 0 };
#endif
    atomic {
        if
        :: young || !(found[0] || found[1] || found[OBJECTS - 1] || found[COPY]) -> goto again
#ifndef NO_COPY_CHECK
        :: !young && found[COPY] -> goto again
#endif
        :: else
        fi
    };
#if !defined(NO_COPY_CHECK) && !defined(NO_HEAD)
    atomic { if :: it.there[COPY] -> goto again :: else fi };
#endif
#ifdef MARKS
    atomic { it.marked = true };
    atomic { if :: it.there[COPY] -> goto again :: else fi };
#endif
#ifndef NO_SECOND_LIST
    atomic { if :: it.committed -> if :: HIDDEN :: goto again fi :: else fi };
#endif
    do
    :: atomic { i <= COPY && at_once(a) -> if :: found[i] -> it.there[i] = false :: else fi; i++ }
    :: goto again
    od
}

proctype Repair() {     /* `verify --repair`: a manifest is written again from its copy */
    byte a, k;
    bool ok;

again:
    atomic { a = 0; ok = false; relies[REPAIRER] = NONE };
    atomic { made > 0; pick(); it.there[COPY] && !it.committed; relies[REPAIRER] = a; ok = it.there[0] };
#ifndef REPAIR_UNSEEN
    atomic { if :: ok && rest(a) :: else -> goto again fi };
#endif
#ifndef REPAIR_ANY_DATES
    atomic { if :: no_gap(a) && unmarked(a) :: else -> goto again fi };
#endif
    atomic { if :: fresh(REPAIRER, a) -> commit(a) :: else fi; goto again }
}
