"""OpenAI's files; an upload is read by `gateway.dialects.uploads.read_upload`."""

from gateway.dialects.base import Purpose, Route
from gateway.dialects.openai.objects import OpenAIObjects
from gateway.dialects.openai.views import DeletedObject, FileObject, ObjectList
from gateway.dialects.uploads import UploadForm

__all__ = ["OpenAIFilesDialect"]


class OpenAIFilesDialect(OpenAIObjects):
    """The routes under /v1/files."""

    name = "openai_files"
    routes = (
        Route("POST", "/v1/files", Purpose.FILE_CREATE, "Upload a file", UploadForm, FileObject, forms=True),
        Route("GET", "/v1/files", Purpose.FILE_LIST, "List files", None, ObjectList[FileObject]),
        Route("GET", "/v1/files/{id}", Purpose.FILE_GET, "Look at a file", None, FileObject),
        Route("GET", "/v1/files/{id}/content", Purpose.FILE_CONTENT, "Download a file", None, bytes),
        Route("DELETE", "/v1/files/{id}", Purpose.FILE_DELETE, "Delete a file", None, DeletedObject),
    )
