// Dropping or choosing a picture sends the form at once; without JavaScript the button does.
const form = document.querySelector("form.picture");
if (form) {
  const zone = form.querySelector(".drop");
  const input = form.querySelector("input[type=file]");
  form.querySelector("button").hidden = true;
  input.addEventListener("change", () => input.files.length && form.submit());
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        form.submit();
      }
    });
  }
}
