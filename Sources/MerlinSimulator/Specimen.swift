import Glibc

/// A made-up specimen: a bent polycrystalline film with a hole in it, in a magnetic vortex field.
///
/// It gives, for each probe position, how the beam is split into direct beam, Bragg beams and diffuse scattering, and by
/// how much the field shifts the whole pattern. The formulas are the two-beam and kinematic ones of any textbook (Reimer
/// and Kohl, Transmission Electron Microscopy, chapter 7), chosen for pictures that show what virtual detectors and
/// centre of mass are for; the constants are no particular material's.
struct Specimen: Sendable {
    /// One beam of a pattern: a disk around `y`, `x` (in disk radii from the undisturbed centre) with its share of the
    /// electrons.
    struct Beam: Sendable {
        var y: Double
        var x: Double
        var weight: Double
    }

    /// The pattern at one probe position. Weights of beams and of both kinds of diffuse scattering sum to 1.
    struct Pattern: Sendable {
        /// The direct beam is the first. All beams are shifted already.
        var beams: [Beam]
        /// Scattering close to the beams.
        var diffuse: Double
        /// Scattering to high angles.
        var highAngle: Double
        /// Shift of the whole pattern, in disk radii.
        var shiftY: Double
        var shiftX: Double
    }

    private struct Grain {
        var y: Double
        var x: Double
        /// Lattice vectors in disk radii, two of them: (y, x) each.
        var first: (Double, Double)
        var second: (Double, Double)
        /// Tilt of the zone axis: centre of the Laue circle, in disk radii.
        var tiltY: Double
        var tiltX: Double
        var extinction: Double
    }

    private let grains: [Grain]
    private let hole: (y: Double, x: Double, radius: Double, wobble: Double, phase: Double)
    private let bumps: [(y: Double, x: Double, width: Double, height: Double)]
    private let vortices: [(y: Double, x: Double, width: Double, strength: Double)]

    /// Orders of reflection taken in: all (h, k) within 2 but the direct beam.
    private static let reflections: [(h: Double, k: Double)] = {
        var orders: [(h: Double, k: Double)] = []
        for h in -2...2 {
            for k in -2...2 where h != 0 || k != 0 { orders.append((Double(h), Double(k))) }
        }
        return orders
    }()

    /// Everything follows from the seed. Positions are in 0 ..< 1 along both axes.
    init(seed: UInt64) {
        var random = RandomSource(seed: seed, stream: 0x5EED)
        func between(_ low: Double, _ high: Double) -> Double { low + (high - low) * random.unit() }
        grains = (0..<14).map { _ in
            let angle = between(0, .pi)
            let spacing = between(2.7, 3.1)
            let opening = random.unit() < 0.6 ? Double.pi / 3 : Double.pi / 2
            return Grain(
                y: between(0, 1), x: between(0, 1),
                first: (spacing * sin(angle), spacing * cos(angle)),
                second: (spacing * sin(angle + opening), spacing * cos(angle + opening)),
                tiltY: between(-2, 2), tiltX: between(-2, 2), extinction: between(0.35, 0.6))
        }
        hole = (
            y: between(0.68, 0.85), x: between(0.7, 0.9), radius: between(0.16, 0.21), wobble: between(0.1, 0.2),
            phase: between(0, 6)
        )
        bumps = (0..<9).map { _ in
            (y: between(0, 1), x: between(0, 1), width: between(0.02, 0.05), height: between(0.5, 1))
        }
        vortices = [
            (y: between(0.25, 0.45), x: between(0.25, 0.45), width: between(0.16, 0.24), strength: 0.16),
            (y: between(0.55, 0.75), x: between(0.3, 0.7), width: between(0.12, 0.18), strength: -0.13),
        ]
    }

    /// Thickness in extinction-like units, about 0.4 to 2; 0 in the hole.
    func thickness(y: Double, x: Double) -> Double {
        let (fromHoleY, fromHoleX) = (y - hole.y, x - hole.x)
        let angle = atan2(fromHoleY, fromHoleX)
        let edge = hole.radius * (1 + hole.wobble * sin(3 * angle + hole.phase) + 0.06 * sin(7 * angle))
        let depth = (fromHoleY * fromHoleY + fromHoleX * fromHoleX).squareRoot() - edge
        guard depth > 0 else { return 0 }
        // The film thins towards the hole, as after ion milling.
        var thickness = 0.25 + 1.05 * (1 - exp(-depth / 0.3)) + 0.12 * sin(5 * y + 2 * x)
        for bump in bumps {
            let (dy, dx) = ((y - bump.y) / bump.width, (x - bump.x) / bump.width)
            let inside = 1 - dy * dy - dx * dx
            if inside > 0 { thickness += bump.height * inside.squareRoot() }
        }
        return thickness
    }

    /// Shift of the pattern by the field, in disk radii.
    func shift(y: Double, x: Double) -> (y: Double, x: Double) {
        var (shiftY, shiftX) = (0.03 * (y - 0.5), 0.03 * (x - 0.5))
        for vortex in vortices {
            let (dy, dx) = ((y - vortex.y) / vortex.width, (x - vortex.x) / vortex.width)
            let strength = vortex.strength * exp(0.5 - 0.5 * (dy * dy + dx * dx))
            shiftY += strength * dx
            shiftX -= strength * dy
        }
        return (shiftY, shiftX)
    }

    func pattern(y: Double, x: Double) -> Pattern {
        let shift = shift(y: y, x: x)
        let thickness = thickness(y: y, x: x)
        guard thickness > 0 else {
            return Pattern(
                beams: [Beam(y: shift.y, x: shift.x, weight: 1)], diffuse: 0, highAngle: 0, shiftY: shift.y,
                shiftX: shift.x)
        }
        let grain = grain(y: y, x: x)
        // Bending moves the Laue circle over the grain: bend contours.
        let tiltY = grain.tiltY + 1.6 * sin(7 * (y - grain.y) + 3 * (x - grain.x))
        let tiltX = grain.tiltX + 1.6 * cos(6 * (x - grain.x) - 2 * (y - grain.y))
        let centre: Double = tiltY * tiltY + tiltX * tiltX

        var beams = [Beam(y: shift.y, x: shift.x, weight: 0)]
        beams.reserveCapacity(Self.reflections.count + 1)
        var diffracted = 0.0
        for (h, k) in Self.reflections {
            let gy = h * grain.first.0 + k * grain.second.0
            let gx = h * grain.first.1 + k * grain.second.1
            let length: Double = gy * gy + gx * gx
            guard length < 40 else { continue }
            // Excitation error of a reflection: its distance from the Laue circle through the origin.
            let (fromY, fromX) = (gy - tiltY, gx - tiltX)
            let excitation: Double = (fromY * fromY + fromX * fromX - centre) * 0.045
            let deviation: Double = (1 + excitation * excitation).squareRoot()
            let rocking: Double = sin(.pi * thickness * grain.extinction * deviation) / deviation
            let weight: Double = 0.16 * exp(-length / 16) * rocking * rocking
            beams.append(Beam(y: shift.y + gy, x: shift.x + gx, weight: weight))
            diffracted += weight
        }
        let highAngle = 0.06 * (1 - exp(-0.9 * thickness))
        let diffuse = 0.3 * (1 - exp(-0.5 * thickness))
        let elastic = 1 - highAngle - diffuse
        // Beams that draw from the same electrons: never more than 75 % leave the direct beam.
        let share = elastic * (diffracted > 0 ? 0.75 * (1 - exp(-diffracted / 0.75)) / diffracted : 0)
        for index in 1..<beams.count { beams[index].weight *= share }
        beams[0].weight = elastic - diffracted * share
        return Pattern(
            beams: beams, diffuse: diffuse, highAngle: highAngle, shiftY: shift.y, shiftX: shift.x)
    }

    private func grain(y: Double, x: Double) -> Grain {
        var nearest = grains[0]
        var distance = Double.infinity
        for grain in grains {
            // Slightly warped distances, so that the borders are not straight.
            let dy = y - grain.y + 0.015 * sin(23 * x)
            let dx = x - grain.x + 0.015 * sin(19 * y)
            let square = dy * dy + dx * dx
            if square < distance { (nearest, distance) = (grain, square) }
        }
        return nearest
    }
}
