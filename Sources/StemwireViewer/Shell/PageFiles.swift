import StemwirePictures

/// The page's files, which are part of the program.
enum PageFiles {
    struct File: Sendable {
        let mediaType: String
        let bytes: [UInt8]
    }

    private static let script = "text/javascript; charset=utf-8"

    /// By the path behind the first slash.
    static let all: [String: File] = [
        "": File(mediaType: "text/html; charset=utf-8", bytes: PackageResources.index_html),
        "viewer.css": File(mediaType: "text/css; charset=utf-8", bytes: PackageResources.viewer_css),
        "viewer.js": File(mediaType: script, bytes: PackageResources.viewer_js),
        "address.js": File(mediaType: script, bytes: PackageResources.address_js),
        "connection.js": File(mediaType: script, bytes: PackageResources.connection_js),
        "detectors.js": File(mediaType: script, bytes: PackageResources.detectors_js),
        "doing.js": File(mediaType: script, bytes: PackageResources.doing_js),
        "export.js": File(mediaType: script, bytes: PackageResources.export_js),
        "fourier.js": File(mediaType: script, bytes: PackageResources.fourier_js),
        "keys.js": File(mediaType: script, bytes: PackageResources.keys_js),
        "levels.js": File(mediaType: script, bytes: PackageResources.levels_js),
        "pane.js": File(mediaType: script, bytes: PackageResources.pane_js),
        "past.js": File(mediaType: script, bytes: PackageResources.past_js),
        "picture.js": File(mediaType: script, bytes: PackageResources.picture_js),
        "profile.js": File(mediaType: script, bytes: PackageResources.profile_js),
        "role.js": File(mediaType: script, bytes: PackageResources.role_js),
        "scale.js": File(mediaType: script, bytes: PackageResources.scale_js),
        "seams.js": File(mediaType: script, bytes: PackageResources.seams_js),
        "shapes.js": File(mediaType: script, bytes: PackageResources.shapes_js),
        "sources.js": File(mediaType: script, bytes: PackageResources.sources_js),
        "trust.js": File(mediaType: script, bytes: PackageResources.trust_js),
        "colourmaps.bin": File(mediaType: "application/octet-stream", bytes: ColourTables.file),
    ]
}
