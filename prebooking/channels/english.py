"""Messages in English."""

from __future__ import annotations

from prebooking.channels.language import Language

_CANCEL = "Cancel this prebooking and add it again."
_LOGIN = "Log in with `prebooking login` before booking opens."

ENGLISH = Language(
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    day="{weekday} {date} {month}",
    at="{day} at {hour}",
    a_class="your class",
    a_venue="your gym",
    what="{class_name} at {venue}, {begins}",
    member="For {member}: {text}",
    subjects={
        "booked": "Booked",
        "waitlisted": "Waiting list",
        "failed": "Not booked",
        "warned": "Please look",
        "moved_up": "You have a place",
        "given_back": "Given back",
        "reminder": "Reminder",
        "alert": "Prebooking scheduler",
        "test": "Test",
    },
    events={
        "booked": "You are booked: {what}.",
        "already_booked": "You had this place already: {what}.",
        "waitlisted": "You are on the waiting list: {what}.",
        "failed": "Not booked: {what}.",
        "warned": "Please look at {what}.",
        "moved_up": "A place became free, and you are booked now: {what}.",
        "given_back": "Your place was given back: {what}.",
        "reminder": "You are booked: {what}.",
        "alert": "The prebooking scheduler needs you.",
        "test": "This is a test: messages arrive here.",
    },
    details={
        "late": "The call was sent {} after it was due.",
        "place": "Your place on the list is {}.",
        "next": "Your next choice is tried now.",
        "opens": "Booking opens {}.",
        "until": "If you cannot come, give your place back before {}: later the venue counts it as a late"
        " cancellation.",
    },
    reasons={
        "full": "The class was full. Look whether the venue has a waiting list.",
        "no_credit": "You had no credit left for this class. Buy one, and book at the venue.",
        "limit_reached": "You have reached the venue's limit of bookings. Give another class back, and book at the"
        " venue.",
        "too_early": "For 15 minutes the venue answered that booking is not open yet. Ask the operator to check"
        " when booking opens there.",
        "payment_due": "The venue wants a payment from you first. Pay, and book at the venue.",
        "too_late": "The venue takes no bookings for this class any more. Choose another class.",
        "conflict_same_hour": "You have another class at that hour. Give one back if you want the other.",
        "class_gone": "The class does not exist any more. Choose another class.",
        "session_expired": "The venue wants you to log in again. Log in with `prebooking login`, and book at the"
        " venue.",
        "rejected": "The venue refused the booking. Ask at the venue, or book there.",
        "bad_data": "The prebooking could not be turned into a booking. Add it again, and book this class at the"
        " venue.",
        "expired": "The class began before a call could be sent. Ask the operator to look at `prebooking doctor`.",
        "unknown": "A call was sent, but its result was still unclear when the class began. Look at the venue"
        " whether you have the place.",
    },
    other_reason="Look at the venue, and book there.",
    warnings={
        "no_login": f"There is no login of yours at this venue. {_LOGIN}",
        "login_failed": f"You could not be logged in automatically. {_LOGIN}",
        "wrong_password": f"The venue refused your stored password, so it was removed. {_LOGIN}",
        "session_expired": f"The venue wants you to log in again. {_LOGIN}",
        "session_unreadable": f"Your stored login cannot be opened. {_LOGIN}",
        "session_not_refreshed": "Your login could not be renewed. It is tried again; if this message comes again,"
        " log in with `prebooking login`.",
        "other_key": f"Your stored login cannot be opened here. {_LOGIN}",
        "bad_data": f"Something in it cannot be read. {_CANCEL}",
        "class_twice": "Another prebooking of yours is for the same class. Cancel one of the two.",
        "class_not_published": "The venue has not published that day yet. It is looked at again until booking"
        " opens; you have nothing to do.",
        "class_ambiguous": "Several classes fit. Cancel this prebooking and add it again with the number of the class.",
        "class_cancelled": "The venue has cancelled this class. Cancel this prebooking and choose another class.",
        "class_closed": "The venue takes no bookings for this class now. It is looked at again before booking opens.",
        "class_moved": "This class begins at {hour} now. If it was found before, it is booked all the same:"
        " cancel the prebooking to prevent that.",
        "class_renamed": "The class at this hour has another name now. If it was found before, it is booked all the"
        " same: cancel the prebooking to prevent that.",
        "class_gone": "There is no such class at this hour any more. Cancel this prebooking and choose another class.",
    },
    other_warning="Something about it needs you. Look at `prebooking list`.",
    alerts={
        "late": "At {venue}, booking opened more than five minutes ago, and prebookings are still pending: run"
        " `prebooking doctor`, which names the cause.",
        "runs": "A run of the last hour failed or was cut off: look at the function's log, and run `prebooking"
        " doctor`.",
        "blocked": "{venue} blocks the function or cannot be reached: open its page in a browser, and pause it"
        " with `prebooking venue pause` if it is not reachable there either.",
        "logins": "A class opens within a day, and its member has no usable login: `prebooking list` names the"
        " member, who has to log in again.",
        "dead": "A message could not be delivered: `prebooking notify list` names the failing channel, correct or"
        " remove it.",
        "repeats": "A repeat cannot make its prebookings: `prebooking repeat list` names what hinders it.",
    },
    other_alert="Look at `prebooking doctor`, which names the cause and the cure.",
)
