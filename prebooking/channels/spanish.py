"""Messages in Spanish."""

from __future__ import annotations

from prebooking.channels.language import Language

_CANCEL = "Cancela esta prerreserva y vuelve a pedirla."
_LOGIN = "Inicia sesión con `prebooking login` antes de que se abra la reserva."

SPANISH = Language(
    weekdays=("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
    months=(
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ),
    day="{weekday} {date} de {month}",
    at="{day} a las {hour}",
    a_class="tu clase",
    a_venue="tu gimnasio",
    what="{class_name} en {venue}, {begins}",
    member="Para {member}: {text}",
    subjects={
        "booked": "Reservada",
        "waitlisted": "Lista de espera",
        "failed": "No reservada",
        "warned": "Revísala",
        "moved_up": "Tienes plaza",
        "given_back": "Plaza devuelta",
        "reminder": "Recordatorio",
        "alert": "Prebooking scheduler",
        "test": "Prueba",
    },
    events={
        "booked": "Tienes plaza: {what}.",
        "already_booked": "Ya tenías esta plaza: {what}.",
        "waitlisted": "Estás en la lista de espera: {what}.",
        "failed": "No reservada: {what}.",
        "warned": "Revisa esta prerreserva: {what}.",
        "moved_up": "Ha quedado una plaza libre y ahora es tuya: {what}.",
        "given_back": "Se ha devuelto tu plaza: {what}.",
        "reminder": "Tienes plaza: {what}.",
        "alert": "El prebooking scheduler te necesita.",
        "test": "Esto es una prueba: los mensajes llegan aquí.",
    },
    details={
        "late": "La petición se envió con {} de retraso.",
        "place": "Tu puesto en la lista es el {}.",
        "next": "Ahora se intenta tu siguiente opción.",
        "opens": "La reserva se abre el {}.",
        "until": "Si no puedes ir, devuelve la plaza antes del {}: después, el centro lo cuenta como cancelación"
        " tardía.",
    },
    reasons={
        "full": "La clase estaba llena. Mira si el centro tiene lista de espera.",
        "no_credit": "No te quedaba ningún bono para esta clase. Compra uno y reserva en el centro.",
        "limit_reached": "Has llegado al límite de reservas del centro. Devuelve otra clase y reserva en el centro.",
        "too_early": "Durante 15 minutos el centro respondió que la reserva aún no estaba abierta. Pide al operador"
        " que compruebe cuándo se abre.",
        "payment_due": "El centro te pide antes un pago. Paga y reserva en el centro.",
        "too_late": "El centro ya no admite reservas para esta clase. Elige otra clase.",
        "conflict_same_hour": "Tienes otra clase a esa hora. Devuelve una si quieres la otra.",
        "class_gone": "La clase ya no existe. Elige otra clase.",
        "session_expired": "El centro te pide iniciar sesión otra vez. Hazlo con `prebooking login` y reserva en el"
        " centro.",
        "rejected": "El centro rechazó la reserva. Pregunta en el centro o reserva allí.",
        "bad_data": "No se pudo convertir la prerreserva en una reserva. Vuelve a pedirla y reserva esta clase en"
        " el centro.",
        "expired": "La clase empezó antes de que se pudiera enviar la petición. Pide al operador que mire"
        " `prebooking doctor`.",
        "unknown": "Se envió una petición, pero su resultado seguía sin estar claro al empezar la clase. Mira en el"
        " centro si tienes la plaza.",
    },
    other_reason="Míralo en el centro y reserva allí.",
    warnings={
        "no_login": f"No has iniciado sesión en este centro. {_LOGIN}",
        "login_failed": f"No se pudo iniciar tu sesión automáticamente. {_LOGIN}",
        "wrong_password": f"El centro rechazó tu contraseña guardada y se ha borrado. {_LOGIN}",
        "session_expired": f"El centro te pide iniciar sesión otra vez. {_LOGIN}",
        "session_unreadable": f"No se puede abrir tu sesión guardada. {_LOGIN}",
        "session_not_refreshed": "No se pudo renovar tu sesión. Se intenta otra vez; si este mensaje se repite,"
        " inicia sesión con `prebooking login`.",
        "other_key": f"Aquí no se puede abrir tu sesión guardada. {_LOGIN}",
        "bad_data": f"Hay un dato que no se puede leer. {_CANCEL}",
        "class_twice": "Otra prerreserva tuya es para la misma clase. Cancela una de las dos.",
        "class_not_published": "El centro aún no ha publicado ese día. Se vuelve a mirar hasta que se abra la"
        " reserva; no tienes que hacer nada.",
        "class_ambiguous": "Hay varias clases posibles. Cancela esta prerreserva y vuelve a pedirla con el número"
        " de la clase.",
        "class_cancelled": "El centro ha cancelado esta clase. Cancela esta prerreserva y elige otra clase.",
        "class_closed": "El centro no admite ahora reservas para esta clase. Se vuelve a mirar antes de que se abra"
        " la reserva.",
        "class_moved": "Esta clase empieza ahora a las {hour}. Si ya se había encontrado, se reserva igualmente:"
        " cancela la prerreserva para evitarlo.",
        "class_renamed": "La clase de esa hora tiene ahora otro nombre. Si ya se había encontrado, se reserva"
        " igualmente: cancela la prerreserva para evitarlo.",
        "class_gone": "A esa hora ya no existe esa clase. Cancela esta prerreserva y elige otra clase.",
    },
    other_warning="Necesita tu atención. Mira `prebooking list`.",
    alerts={
        "late": "En {venue} las reservas se abrieron hace más de cinco minutos y aún quedan pendientes: ejecuta"
        " `prebooking doctor`, que dice la causa.",
        "runs": "Una ejecución de la última hora falló o se cortó: mira el registro de la función y ejecuta"
        " `prebooking doctor`.",
        "blocked": "{venue} bloquea la función o no responde: abre su página en un navegador y, si allí tampoco"
        " responde, páusalo con `prebooking venue pause`.",
        "logins": "Una clase se abre en menos de un día y su socio no tiene una sesión que sirva: `prebooking"
        " list` dice quién es, y tiene que iniciar sesión otra vez.",
        "dead": "Un mensaje no se pudo entregar: `prebooking notify list` dice qué canal falla, corrígelo o quítalo.",
        "repeats": "Una repetición no puede crear sus reservas: `prebooking repeat list` dice qué lo impide.",
    },
    other_alert="Mira `prebooking doctor`: dice la causa y el remedio.",
    comma=",",
)
