/* The rules, and the switches that leave them out. */

/* A commit is refused where, by the store's dates, a week passed from the beginning to the copy without an object. */
#ifdef PARTS_COUNT      /* the date of an object in parts counts, though the object was not there on that day */
#define counts(x, i) true
#else
#define counts(x, i) (!attempt[x].in_parts[i])
#endif
#define within_week(early, late) ((early) <= (late) && (late) - (early) < WEEK)
#define follows(x, day, i) (counts(x, i) && (day) < attempt[x].date[i] && within_week(day, attempt[x].date[i]))
#define linked(x, day) (within_week(day, attempt[x].date[COPY]) || follows_any(x, day))
#define links(x, i) (!counts(x, i) || linked(x, attempt[x].date[i]))
#if defined(NO_GAP_RULE)
#define no_gap(x) true
#elif defined(NEWEST_ONLY)  /* only the newest object before the copy must be younger than a week */
#define no_gap(x) (within_week(attempt[x].date[0], now) || within_week(attempt[x].date[1], now))
#elif defined(NO_BEGINNING) /* an object's date is the first that counts, though it was sent again */
#define no_gap(x) links_each(x)
#else
#define no_gap(x) (linked(x, attempt[x].begun) && links_each(x))
#endif

/* Twice that long, because a request may be under way for most of a week. */
#ifdef SHORT_GRACE
#define GRACE WEEK
#else
#define GRACE (2 * WEEK)
#endif

/* Two rules that the tool does not have, to compare: prune removes within minutes of its look; prune writes a mark
   beside the attempt, then asks for the copy again, and a commit asks for that mark after it wrote the copy. */
#ifdef PRUNES_AT_ONCE
#define start(x) relies[PRUNER] = x
#define at_once(x) (relies[PRUNER] == x)
#else
#define start(x) skip
#define at_once(x) true
#endif
#ifdef MARKS
#define unmarked(x) (!attempt[x].marked)
#else
#define unmarked(x) true
#endif

/* Evidence is minutes old when something rests on it. */
#ifdef OLD_EVIDENCE
#define fresh(r, x) true
#else
#define fresh(r, x) (relies[r] == x)
#endif
#if defined(OLD_EVIDENCE) || defined(PURGE_BY_MEMORY)
#define fresh_to_purge(r, x) true
#else
#define fresh_to_purge(r, x) (relies[r] == x)
#endif

/* Every object of the attempt is listed once more before the commit. */
#ifdef COMMIT_BY_MEMORY
#define listed(x) true
#else
#define listed(x) (x)
#endif

/* A number is above every one that this source has used or seen, whatever is listed now. */
#ifdef NUMBER_BY_LIST
#define used 0
#else
#define used highest
#endif

/* What was set aside is compared there, and each file once more as it is removed: it was at home until the rename. */
#ifdef COMPARE_BEFORE
#define same(bytes, version) true
#else
#define same(bytes, version) ((bytes) == (version))
#endif

/* What is asked: one property alone, or all. */
#if defined(ONLY_KEPT) || defined(ONLY_RESTORED)
#define claim(x) skip
#else
#define claim(x) assert(x)
#endif
#if defined(ONLY_CLAIMED) || defined(ONLY_RESTORED)
#define must_keep(s) true
#else
#define must_keep(s) kept(s)
#endif
#if defined(ONLY_CLAIMED) || defined(ONLY_KEPT)
#define must_restore(s) true
#else
#define must_restore(s) restored(s)
#endif
